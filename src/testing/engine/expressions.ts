import type { JsonObject } from "../../conductor/types.js";

/** Gives the value of the first step of a path: `workflow`, or the reference name of a task. */
export type Scope = (name: string) => unknown;

/** What `${CPEWF_TASK_ID}` stands for. */
const TASK_ID_VARIABLE = "CPEWF_TASK_ID";

/**
 * Replaces every `${path}` in a template. A string that is one expression takes the value with its type; within a longer
 * string the value is written as Java would write it. A path that leads nowhere gives null.
 */
export function evaluate(template: unknown, scope: Scope, taskId?: string): unknown {
  if (typeof template === "string") return evaluateString(template, scope, taskId, 0);
  if (Array.isArray(template)) return template.map((item) => evaluate(item, scope, taskId));
  if (typeof template === "object" && template !== null) return evaluateObject(template as JsonObject, scope, taskId);
  return template;
}

export function evaluateObject(template: JsonObject, scope: Scope, taskId?: string): JsonObject {
  const result: JsonObject = {};
  for (const [key, value] of Object.entries(template)) result[key] = evaluate(value, scope, taskId);
  return result;
}

/** The paths in a template that this server cannot evaluate (JsonPath filters, wildcards, slices, deep scans). */
export function unsupportedPaths(template: unknown): string[] {
  if (typeof template === "string") {
    return expressionsIn(template)
      .map(({ path }) => path)
      .filter((path) => !path.includes("${") && path.trim() !== "" && parsePath(path) === undefined);
  }
  if (typeof template !== "object" || template === null) return [];
  return Object.values(template).flatMap(unsupportedPaths);
}

/** What the expressions of a template start from: `workflow`, or the reference name of a task. */
export function referencesIn(template: unknown): { reference: string; expression: string }[] {
  if (typeof template === "string") {
    return expressionsIn(template)
      .map(({ path }) => path)
      .filter((path) => !path.includes("${") && path.trim() !== "" && path !== TASK_ID_VARIABLE)
      .map((path) => ({ reference: path.replace(/^\$\./, "").split(/[.[]/, 1)[0] ?? path, expression: `\${${path}}` }));
  }
  if (typeof template !== "object" || template === null) return [];
  return Object.values(template).flatMap(referencesIn);
}

interface Expression {
  readonly start: number;
  readonly end: number;
  readonly path: string;
}

/** Finds the outermost `${…}`; braces nest, and `$${` is an escape. */
function expressionsIn(text: string): Expression[] {
  const found: Expression[] = [];
  let from = 0;
  for (;;) {
    const start = text.indexOf("${", from);
    if (start < 0) return found;
    if (text[start - 1] === "$") {
      from = start + 2;
      continue;
    }
    let depth = 1;
    let end = start + 2;
    while (end < text.length && depth > 0) {
      if (text[end] === "{") depth++;
      else if (text[end] === "}") depth--;
      end++;
    }
    if (depth > 0) return found;
    found.push({ start, end, path: text.slice(start + 2, end - 1) });
    from = end;
  }
}

function evaluateString(text: string, scope: Scope, taskId: string | undefined, depth: number): unknown {
  if (!text.includes("${")) return text;
  const expressions = expressionsIn(text);
  const [only] = expressions;
  if (depth === 0 && expressions.length === 1 && only?.start === 0 && only.end === text.length) {
    return valueOf(only.path, scope, taskId, depth);
  }
  let result = "";
  let from = 0;
  for (const { start, end, path } of expressions) {
    result += text.slice(from, start) + javaString(valueOf(path, scope, taskId, depth));
    from = end;
  }
  return (result + text.slice(from)).replaceAll("$${", "${");
}

function valueOf(path: string, scope: Scope, taskId: string | undefined, depth: number): unknown {
  // A path may be built from others: ${workflow.input.${task.output.key}}.
  const resolved = path.includes("${") ? javaString(evaluateString(path, scope, taskId, depth + 1)) : path;
  if (resolved.trim() === "") return "";
  if (resolved === TASK_ID_VARIABLE) return taskId ?? null;
  const steps = parsePath(resolved);
  if (steps === undefined) return null;
  let value = scope(String(steps[0]));
  for (const step of steps.slice(1)) value = stepInto(value, step);
  return value ?? null;
}

type Step = string | number | typeof LENGTH;
const LENGTH = Symbol("length()");

const STEP = /\.?(?:\[\s*(-?\d+)\s*\]|\[\s*'([^']*)'\s*\]|\[\s*"([^"]*)"\s*\]|([^.[\]()*?@]+)(\(\))?)/y;

function parsePath(path: string): Step[] | undefined {
  const text = path.startsWith("$.") ? path.slice(2) : path;
  const steps: Step[] = [];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < text.length) {
    const match = STEP.exec(text);
    if (match === null) return undefined;
    const [, index, single, double, name, call] = match;
    if (index !== undefined) steps.push(Number(index));
    else if (call !== undefined) {
      if (name !== "length") return undefined;
      steps.push(LENGTH);
    } else steps.push(single ?? double ?? name ?? "");
  }
  return steps.length === 0 ? undefined : steps;
}

function stepInto(value: unknown, step: Step): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  if (step === LENGTH) return Array.isArray(value) ? value.length : Object.keys(value).length;
  if (typeof step === "number") return Array.isArray(value) ? (value as unknown[]).at(step) : undefined;
  if (Array.isArray(value)) return undefined;
  return Object.hasOwn(value, step) ? (value as JsonObject)[step] : undefined;
}

/** As Java's `toString` writes it: `{a=1}`, `[1, 2]`, `null`. */
export function javaString(value: unknown): string {
  if (value === null || value === undefined) return "null";
  if (Array.isArray(value)) return `[${value.map(javaString).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}=${javaString(item)}`)
      .join(", ")}}`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
