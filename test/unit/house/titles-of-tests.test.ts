import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const TESTS = fileURLToPath(new URL("../../", import.meta.url));
/** What declares a group: vitest's word, and the contract's, which makes one group for each of its targets. */
const GROUPS = new Set(["describe", "onEveryTarget"]);
/** What belongs into a group: a test is reported by the titles of its groups and its own. */
const INSIDE = new Set(["test", "fault", "beforeAll", "beforeEach", "afterAll", "afterEach"]);

/** What is wrong with a test file, one line each. */
function problemsOf(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
  const problems: string[] = [];
  const complain = (node: ts.Node, problem: string) => {
    const { line } = source.getLineAndCharacterOfPosition(node.getStart(source));
    problems.push(`${file}:${line + 1}: ${problem}`);
  };
  let groups = 0;
  for (const statement of source.statements) {
    if (!ts.isExpressionStatement(statement) || !ts.isCallExpression(statement.expression)) continue;
    const called = wordOf(statement.expression);
    if (INSIDE.has(called)) complain(statement, `${called}() outside of a describe() that names the subject`);
    if (GROUPS.has(called)) groups += 1;
  }
  if (groups === 0) complain(source, "no describe() that names the subject");
  const visit = (node: ts.Node): void => {
    if (ts.isImportSpecifier(node) && (node.propertyName ?? node.name).text === "it") {
      complain(node, "a test is spelt test(), not it()");
    }
    if (ts.isCallExpression(node) && isDeclaration(node)) {
      const [title] = node.arguments;
      if (title !== undefined && ts.isStringLiteralLike(title) && title.text.trim() === "") {
        complain(node, `the title of this ${wordOf(node)}() is empty`);
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return problems;
}

/** `describe` of `describe.each([…])("title", …)`. */
function wordOf(call: ts.CallExpression): string {
  let node: ts.Expression = call;
  for (;;) {
    if (ts.isCallExpression(node) || ts.isPropertyAccessExpression(node)) node = node.expression;
    else if (ts.isTaggedTemplateExpression(node)) node = node.tag;
    else return ts.isIdentifier(node) ? node.text : "";
  }
}

const isDeclaration = (call: ts.CallExpression) => GROUPS.has(wordOf(call)) || wordOf(call) === "test";

describe("the titles of tests", () => {
  test("are read with the name of their subject, in every test file", { timeout: 60_000 }, () => {
    const files = readdirSync(TESTS, { recursive: true, encoding: "utf8" })
      .map((file) => file.replaceAll("\\", "/"))
      .filter((file) => file.endsWith(".test.ts"));
    expect(files.length).toBeGreaterThan(100);
    expect(files.sort().flatMap((file) => problemsOf(`test/${file}`, readFileSync(TESTS + file, "utf8")))).toEqual([]);
  });

  test.each([
    ['test("is wrong", () => {});', "x.test.ts:1: test() outside of a describe() that names the subject"],
    ['test.each([1])("%i is wrong", () => {});', "x.test.ts:1: test() outside of a describe() that names the subject"],
    ["\nbeforeEach(() => {});", "x.test.ts:2: beforeEach() outside of a describe() that names the subject"],
    ["const one = 1;", "x.test.ts:1: no describe() that names the subject"],
    ['describe(" ", () => {});', "x.test.ts:1: the title of this describe() is empty"],
    ['describe("one", () => {\n  test("", () => {});\n});', "x.test.ts:2: the title of this test() is empty"],
    ['import { it } from "vitest";', "x.test.ts:1: a test is spelt test(), not it()"],
  ])("%j is found", (text, problem) => {
    expect(problemsOf("x.test.ts", text)).toContain(problem);
  });

  test("a file of groups has no problem", () => {
    expect(problemsOf("x.test.ts", 'describe("one", () => {\n  test("two", () => {});\n});')).toEqual([]);
  });
});
