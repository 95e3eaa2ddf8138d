import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, test } from "vitest";
import { describedRooms, drawnFloors, drawnStates, namedFiles } from "../../support/house/architecture-page.js";
import { circlesOfFolders, climbs, misplacedRooms } from "../../support/house/floors.js";
import { effectsAtImport } from "../../support/house/import-effects.js";
import { circlesOf, importsOf } from "../../support/house/imports.js";
import { readSourceTree, sourceTree, syntaxOf } from "../../support/house/source-tree.js";
import { namesOfTwoThings } from "../../support/house/type-names.js";

const src = readSourceTree(new URL("../../../src/", import.meta.url));
const page = readFileSync(new URL("../../../ARCHITECTURE.md", import.meta.url), "utf8");
const floors = drawnFloors(page);
const imports = importsOf(src);
/** They are started, and imported by nobody. */
const PROGRAMS = ["cli/main.ts", "testing/own-process-child.ts"];
const { sideEffects } = JSON.parse(readFileSync(new URL("../../../package.json", import.meta.url), "utf8")) as {
  sideEffects: false | readonly string[];
};
/** What a bundler keeps although nobody uses what it exports. */
const declared = (sideEffects || []).map((file) => file.replace(/^\.\/dist\//, "").replace(/\.js$/, ".ts"));

describe("the files of src", () => {
  test("import each other in no circle, those of types included", () => {
    expect(circlesOf(imports)).toEqual([]);
  });

  test("import from their own room and from lower floors", () => {
    expect(climbs(imports, floors)).toEqual([]);
  });

  test("stand in rooms that are on a floor, and every room of a floor is there", () => {
    expect(misplacedRooms(src, floors)).toEqual([]);
  });

  test("stand in folders that import each other in no circle, inside a room", () => {
    expect(circlesOfFolders(imports)).toEqual([]);
  });

  test("give no name to two types", () => {
    expect(namesOfTwoThings(src)).toEqual([]);
  });

  test("do nothing at import but make what they export, unless package.json says so", () => {
    const effects = effectsAtImport(src, declared);
    const undeclared = effects.filter(({ file }) => !declared.includes(file));
    // The storage is what the module exports a reader of: a bundler keeps both or drops both.
    const ofContext = { file: "worker/context.ts", line: expect.any(Number) as number, does: "uses globalThis" };
    expect(undeclared).toEqual([ofContext]);
    const acting = new Set(effects.map(({ file }) => file));
    expect(declared.filter((file) => !acting.has(file))).toEqual([]);
  }, 60_000);

  test("import no program", () => {
    expect(imports.filter(({ to }) => PROGRAMS.includes(to))).toEqual([]);
  });
});

describe("ARCHITECTURE.md", () => {
  test("draws ten floors", () => {
    expect(floors).toHaveLength(10);
  });

  test("tells of every room that it draws, from the top", () => {
    expect(describedRooms(page)).toEqual(floors.flat());
  });

  test("draws the states and the doors that a task has", () => {
    const file = "runner/in-flight.ts";
    const names = [...literalsOf(file, "InFlightState"), ...literalsOf(file, "Door")];
    expect([...drawnStates(page)].sort()).toEqual(names.sort());
  });

  test("names files that are there, and constants that are in them", () => {
    const missing = namedFiles(page).flatMap(({ file, words }) => {
      const text = src.get(file);
      if (text === undefined) return [file];
      return words.filter((word) => !new RegExp(`\\b${word}\\b`).test(text)).map((word) => `${word} in ${file}`);
    });
    expect(missing).toEqual([]);
  });
});

/** The strings of a type of src that is a union of them. */
function literalsOf(file: string, type: string): string[] {
  const { statements } = syntaxOf(file, src.get(file) ?? "");
  const declaration = statements.filter(ts.isTypeAliasDeclaration).find(({ name }) => name.text === type);
  const members = declaration !== undefined && ts.isUnionTypeNode(declaration.type) ? declaration.type.types : [];
  return members.flatMap((member) =>
    ts.isLiteralTypeNode(member) && ts.isStringLiteral(member.literal) ? [member.literal.text] : [],
  );
}

describe("on a small tree the checks find", () => {
  const small = [["index"], ["runner", "client"], ["http"]];

  test("a circle of imports of which one is of a type", () => {
    const tree = sourceTree({
      "http/a.ts": 'import { b } from "./b.js"; export const a = b;',
      "http/b.ts": 'export { c as b } from "./c.js";',
      "http/c.ts": 'import type { A } from "./a.js"; export const c = (a: A) => a;',
      "http/d.ts": 'import { a } from "./a.js"; export const d = a;',
    });
    expect(circlesOf(importsOf(tree))).toEqual(["http/a.ts → http/b.ts → http/c.ts → http/a.ts"]);
  });

  test("a circle by import(…), of a value and of a type", () => {
    const tree = sourceTree({
      "http/a.ts": 'export const a = () => import("./b.js");',
      "http/b.ts": 'export type B = import("./a.js").A;',
    });
    expect(circlesOf(importsOf(tree))).toEqual(["http/a.ts → http/b.ts → http/a.ts"]);
  });

  test("an import from a lower floor to a higher one, and one between neighbours", () => {
    const tree = sourceTree({
      "index.ts": 'export { run } from "./runner/run.js";',
      "runner/run.ts": 'import { send } from "../http/send.js"; export const run = send;',
      "client/ask.ts": 'export type { run } from "../runner/run.js";',
      "http/send.ts": 'export const send = () => import("../client/ask.js");',
    });
    expect(climbs(importsOf(tree), small)).toEqual([
      "client/ask.ts (floor 2: runner · client) imports runner/run.ts (floor 2: runner · client)",
      "http/send.ts (floor 3: http) imports client/ask.ts (floor 2: runner · client)",
    ]);
  });

  test("a room on no floor, and a floor's room that is not there", () => {
    const tree = sourceTree({ "index.ts": "", "runner/run.ts": "", "attic/box.ts": "", "http/send.ts": "" });
    expect(misplacedRooms(tree, small)).toEqual(["attic is on no floor", "client is drawn, and is not there"]);
  });

  test("a circle of folders in a room whose files have none", () => {
    const tree = sourceTree({
      "runner/gate/a.ts": 'import { b } from "../journal/b.js"; export const a = b;',
      "runner/journal/b.ts": "export const b = 1;",
      "runner/journal/c.ts": 'import type { D } from "../gate/deep/d.js"; export type C = D;',
      "runner/gate/deep/d.ts": 'export type D = "d"; import "../../top.js";',
      "runner/top.ts": "",
    });
    expect(circlesOf(importsOf(tree))).toEqual([]);
    expect(circlesOfFolders(importsOf(tree))).toEqual(["runner/gate → runner/journal → runner/gate"]);
  });

  test("an import of a file that is not there, and one that is not written out", () => {
    expect(() => importsOf(sourceTree({ "a.ts": 'import "./b.js";' }))).toThrow("a.ts imports ./b.js");
    expect(() => importsOf(sourceTree({ "a.ts": "void import(`./${name}`);" }))).toThrow("not written out");
  });

  test("a type's name that stands for two things", () => {
    const tree = sourceTree({
      "a.ts": "export interface Order { a: 1 } interface Order { b: 1 } type Mine = 1;",
      "b.ts": 'export type { Order } from "./a.js"; class Other {}',
      "c.ts": "function f() { class Order {} }",
    });
    expect(namesOfTwoThings(tree)).toEqual(["Order: a.ts, c.ts"]);
  });

  test("no effect where a module makes constants, functions and classes", () => {
    const tree = sourceTree({
      "a.ts": `
        import { inspect } from "node:util";
        import { brand, table } from "./b.js";
        const seen = new Set([1]);
        export class A { static { brand(this); } readonly #at = Date.now(); log() { console.log(this.#at); } }
        export const custom = inspect.custom;
        const byName = new Map<string, number>();
        for (const [name, value] of table) byName.set(name, value);
        let last = 0;
        export const next = () => { last += seen.size; setTimeout(next, last); };
        export const handlers = { stop: () => process.exit(0) };`,
      "b.ts": `
        export const table = Object.entries({ a: 1 });
        export function brand(target: object) { let n = 0; n += 1; Object.defineProperty(target, "n", { value: n }); }`,
    });
    expect(effectsAtImport(tree)).toEqual([]);
  });

  test("what a module does at import, in functions and constructors that it calls as well", () => {
    const tree = sourceTree({
      "await.ts": "export const a = await Promise.resolve(1);",
      "direct.ts": 'process.on("exit", () => {});',
      "called.ts": 'import { listen } from "./listen.js";\nlisten();',
      "listen.ts":
        "let isOn = false;\nexport function listen() { isOn = true; start(); }\nconst start = () => setInterval(() => {}, 9);",
      "made.ts":
        'class Reader { readonly text = this.#read(); #read() { return fs.readFileSync(1); } }\nimport fs from "node:fs";\nexport const reader = new Reader();',
      "given.ts": "export const all = [1].map(() => globalThis.name);",
      "effect.ts": 'import "./listen.js";',
      "first.ts": 'console.log("first");',
      "after.ts": 'import "./first.js"; export const after = 1;',
    });
    expect(effectsAtImport(tree, ["first.ts"])).toEqual([
      { file: "await.ts", line: 1, does: "awaits" },
      { file: "direct.ts", line: 1, does: "uses process" },
      { file: "called.ts", line: 2, does: "sets isOn" },
      { file: "called.ts", line: 2, does: "uses setInterval" },
      { file: "made.ts", line: 3, does: "uses fs of node:fs" },
      { file: "given.ts", line: 1, does: "uses globalThis" },
      { file: "effect.ts", line: 1, does: "imports ./listen.js for its effect alone" },
      { file: "first.ts", line: 1, does: "uses console" },
    ]);
  });
});
