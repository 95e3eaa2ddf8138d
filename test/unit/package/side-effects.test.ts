import { readdirSync, readFileSync } from "node:fs";
import ts from "typescript";
import { expect, test } from "vitest";

const { sideEffects } = JSON.parse(readFileSync("package.json", "utf8")) as { sideEffects: string[] };
const listed = sideEffects.map((file) => file.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
const sources = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => `src/${file.replaceAll("\\", "/")}`);

const ONLY_DECLARES = [
  ts.isExportDeclaration,
  ts.isVariableStatement,
  ts.isFunctionDeclaration,
  ts.isClassDeclaration,
  ts.isInterfaceDeclaration,
  ts.isTypeAliasDeclaration,
];

/** The statements of a module that do something when it is imported, beside making what it exports. */
function effectsOf(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true);
  return source.statements
    .filter((node) => !(ts.isImportDeclaration(node) && node.importClause !== undefined))
    .filter((node) => !ONLY_DECLARES.some((is) => is(node)))
    .map((node) => node.getText());
}

test("package.json lists every module that does something by being imported, and no other", () => {
  const withEffects = sources.filter((file) => {
    // Who needs such a module's effect says no more than its import.
    const effects = effectsOf(file).filter((effect) => !/^import ".*\/before-first-line\.js";$/.test(effect));
    return effects.length > 0;
  });
  expect(withEffects.sort()).toEqual(listed.sort());
});
