import { describe, expect, test } from "vitest";
import { evaluate, referencesIn, unsupportedPaths } from "../../../src/testing/engine/expressions.js";

const values: Record<string, unknown> = {
  workflow: { input: { x: 1, key: "name", list: [{ a: "A" }, { a: "B" }], "odd key": true, text: "${not.again}" } },
  task: { output: { name: "N", nothing: null, nested: { deep: [1, [2, 3]] } } },
};
const run = (template: unknown) => evaluate(template, (name) => values[name], "task-1");

describe("the expressions of the embedded Conductor", () => {
  test.each([
    ["${workflow.input.x}", 1],
    ["${workflow.input.list}", [{ a: "A" }, { a: "B" }]],
    ["${workflow.input.list[0].a}", "A"],
    ["${workflow.input.list[-1].a}", "B"],
    ["${workflow.input.list.length()}", 2],
    ["${workflow.input['odd key']}", true],
    ['${workflow.input["odd key"]}', true],
    ["${$.workflow.input.x}", 1],
    ["${task.output.nested.deep[1][0]}", 2],
    ["${CPEWF_TASK_ID}", "task-1"],
    ["${}", ""],
  ])("gives the value of %s with its type", (template, value) => {
    expect(run(template)).toEqual(value);
  });

  test.each([
    "${workflow.input.none}",
    "${workflow.input.none.deeper}",
    "${nobody.output.x}",
    "${task.output.nothing}",
    "${workflow.input.list.a}",
    "${workflow.input.list[9]}",
    "${workflow.input.x.constructor}",
    "${workflow.constructor}",
  ])("gives null for %s, which leads nowhere", (template) => {
    expect(run(template)).toBeNull();
  });

  test("writes values into a longer text as Java does", () => {
    expect(run("x=${workflow.input.x}; ${task.output.nothing} ${task.output.nested}")).toBe(
      "x=1; null {deep=[1, [2, 3]]}",
    );
  });

  test("takes $${ for an escape, once", () => {
    expect(run("$${workflow.input.x}")).toBe("${workflow.input.x}");
  });

  test("builds a path from another expression", () => {
    expect(run("${task.output.${workflow.input.key}}")).toBe("N");
  });

  test("does not evaluate what an expression has brought in", () => {
    expect(run("${workflow.input.text}")).toBe("${not.again}");
  });

  test("goes through lists and objects and leaves the rest", () => {
    const template = { a: ["${workflow.input.x}", { b: "${task.output.name}" }], n: 5, t: true, z: null };
    expect(run(template)).toEqual({ a: [1, { b: "N" }], n: 5, t: true, z: null });
    expect(template.a[0]).toBe("${workflow.input.x}");
  });

  test("leaves an expression without an end as it is", () => {
    expect(run("${workflow.input.x")).toBe("${workflow.input.x");
  });

  test("names what it cannot evaluate", () => {
    const template = { a: "${t.output.list[*].x}", b: ["${t..x}", "${t.output.ok}"], c: "${t.output.min()}" };
    expect(unsupportedPaths(template)).toEqual(["t.output.list[*].x", "t..x", "t.output.min()"]);
  });

  test("names what an input refers to", () => {
    const template = { a: "${first.output.x} and ${workflow.input.y}", b: ["${CPEWF_TASK_ID}", { c: "${second}" }] };
    expect(referencesIn(template).map(({ reference }) => reference)).toEqual(["first", "workflow", "second"]);
  });
});
