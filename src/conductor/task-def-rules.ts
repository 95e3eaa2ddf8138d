import { isDeepStrictEqual } from "node:util";
import type { TaskDef } from "./types.js";

/** Some fields of a task definition; its name goes beside them. */
export type TaskDefFields = Readonly<Partial<TaskDef>>;

/** What the server takes for a field that nobody named, as far as the rules look at it. */
const DEFAULTS: Readonly<Record<string, number>> = {
  timeoutSeconds: 0,
  responseTimeoutSeconds: 3600,
  totalTimeoutSeconds: 0,
};

/** Whole numbers, and the least the server takes of each; undefined: it takes any. */
const NUMBERS: Readonly<Record<string, number | undefined>> = {
  retryCount: 0,
  retryDelaySeconds: undefined,
  backoffScaleFactor: 1,
  maxRetryDelaySeconds: 0,
  backoffJitterMs: 0,
  timeoutSeconds: undefined,
  responseTimeoutSeconds: 1,
  pollTimeoutSeconds: 0,
  totalTimeoutSeconds: 0,
  concurrentExecLimit: undefined,
  rateLimitPerFrequency: undefined,
  rateLimitFrequencyInSeconds: undefined,
};
/** The server's integers have 32 bits. */
const MAX_INTEGER = 2 ** 31 - 1;

const WORDS: Readonly<Record<string, readonly string[]>> = {
  retryLogic: ["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"],
  timeoutPolicy: ["RETRY", "TIME_OUT_WF", "ALERT_ONLY"],
};
const TEXTS = ["description", "ownerEmail", "ownerApp", "isolationGroupId", "executionNameSpace", "baseType"];
const TEXT_LISTS = ["inputKeys", "outputKeys", "runtimeMetadata"];
const OBJECTS = ["inputTemplate", "inputSchema", "outputSchema"];
const FLAGS = ["enforceSchema", "taskStatusListenerEnabled"];

/** The fields that Conductor's task definitions have. */
export const TASK_DEF_FIELD_NAMES: readonly string[] = [
  ...Object.keys(NUMBERS),
  ...Object.keys(WORDS),
  ...TEXTS,
  ...TEXT_LISTS,
  ...OBJECTS,
  ...FLAGS,
];

/**
 * What the server would refuse of a definition with these fields and its own defaults for the rest, one line for each:
 * what is wrong, and what to do.
 */
export function taskDefProblems(fields: TaskDefFields): string[] {
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  const wrong = given.flatMap(([field, value]) => {
    const expected = expectationOf(field, value);
    if (expected === undefined) return [];
    return [
      `${field} must be ${expected}, got ${show(value)}${value === null ? "; leave it out for the default" : ""}`,
    ];
  });
  // What compares numbers says nothing sensible of what is none.
  return wrong.length > 0 ? wrong : crossProblems(fields);
}

/** The rules between fields; the server applies them only where there is a `timeoutSeconds`. */
export function crossProblems(fields: TaskDefFields): string[] {
  const timeout = valueOf(fields, "timeoutSeconds");
  const response = valueOf(fields, "responseTimeoutSeconds");
  const total = valueOf(fields, "totalTimeoutSeconds");
  const problems: string[] = [];
  if (timeout > 0 && response > timeout) {
    problems.push(
      `${shown(fields, "responseTimeoutSeconds")} is more than timeoutSeconds ${timeout}: ` +
        `set responseTimeoutSeconds to ${timeout} or less`,
    );
  }
  if (timeout > 0 && total > 0 && timeout > total) {
    problems.push(
      `timeoutSeconds ${timeout} is more than totalTimeoutSeconds ${total}: raise totalTimeoutSeconds, or set 0`,
    );
  }
  return problems;
}

/**
 * How the server's definition differs from the fields that are wanted, one line for each:
 * `retryCount is 3 on the server and 1 here`. Fields that are not named are not looked at.
 */
export function driftOf(existing: TaskDefFields, wanted: TaskDefFields): string[] {
  return Object.entries(wanted)
    .filter(([field, value]) => value !== undefined && !isDeepStrictEqual(existing[field], value))
    .map(([field, value]) => {
      const there = existing[field];
      return `${field} is ${there === undefined || there === null ? "not set" : show(there)} on the server and ${show(value)} here`;
    });
}

/** What a value of this field has to be, or `undefined` when it is, or when the field is unknown. */
function expectationOf(field: string, value: unknown): string | undefined {
  if (Object.hasOwn(NUMBERS, field)) {
    const min = NUMBERS[field];
    const isRight =
      Number.isInteger(value) && Math.abs(value as number) <= MAX_INTEGER && (value as number) >= (min ?? -Infinity);
    return isRight ? undefined : `a whole number${min === undefined ? "" : `, ${min} or more`}`;
  }
  const words = Object.hasOwn(WORDS, field) ? WORDS[field] : undefined;
  if (words !== undefined) return words.includes(value as string) ? undefined : `one of ${words.join(", ")}`;
  if (TEXTS.includes(field)) return typeof value === "string" ? undefined : "a string";
  if (FLAGS.includes(field)) return typeof value === "boolean" ? undefined : "true or false";
  if (TEXT_LISTS.includes(field)) {
    const isRight = Array.isArray(value) && value.every((entry) => typeof entry === "string");
    return isRight ? undefined : "an array of strings";
  }
  if (OBJECTS.includes(field)) {
    return typeof value === "object" && value !== null && !Array.isArray(value) ? undefined : "an object";
  }
  return undefined;
}

function valueOf(fields: TaskDefFields, field: string): number {
  const value = fields[field];
  return typeof value === "number" ? value : (DEFAULTS[field] ?? 0);
}

function shown(fields: TaskDefFields, field: string): string {
  return `${field} ${valueOf(fields, field)}${typeof fields[field] === "number" ? "" : " (Conductor's default)"}`;
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
