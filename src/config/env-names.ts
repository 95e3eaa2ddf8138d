import { PROCESS_VARIABLES } from "./handler-options.js";
import { nearest } from "./nearest.js";
import type { Option } from "./option.js";
import { isBlank, type Env } from "./parse.js";
import { WORKER_OPTIONS } from "./worker-options.js";

/** The properties of a worker that the environment can set, and the spellings of each; ours first. */
export const WORKER_PROPS = Object.fromEntries(
  Object.entries<Option<unknown, never>>(WORKER_OPTIONS).map(([name, { variables }]) => [name, variables]),
) as Readonly<Record<keyof typeof WORKER_OPTIONS, readonly string[]>>;

const OUR_PROPS: ReadonlySet<string> = new Set(Object.values(WORKER_PROPS).flat());

const PACING = "a poll waits on the server until there is work, and nothing sleeps between polls";
const SCHEMAS = "workers do not register schemas";

/** Properties of other SDKs' workers that this one does not need, and why. */
export const FOREIGN_PROPS: Readonly<Record<string, string>> = {
  POLL_INTERVAL: PACING,
  POLL_INTERVAL_MILLIS: PACING,
  POLLING_INTERVAL: PACING,
  POLLER_COUNT: "one loop polls for a task type, in batches",
  OVERWRITE_TASK_DEF:
    "registerTaskDef: true overwrites nothing, and registerTaskDef: { … } overwrites the fields that it names",
  STRICT_SCHEMA: SCHEMAS,
  REGISTER_SCHEMA: SCHEMAS,
  LEASE_EXTEND_ENABLED: "the lease is always extended, until the task's deadline",
  LOG_INTERVAL: "an event is logged when it happens",
};

/** Variables that may begin like those of a worker and are not. */
const OF_THE_PROCESS: ReadonlySet<string> = new Set([
  ...PROCESS_VARIABLES,
  "CONDUCTOR_WORKER_ISOLATION", // the Python SDK's
]);

const PREFIX = "CONDUCTOR_WORKER_";
const DOTTED_PREFIX = "conductor.worker.";

/** A task type as it stands in the name of a variable: `my-task.v2` becomes `MY_TASK_V2`. */
export function envToken(taskDefName: string): string {
  return taskDefName.toUpperCase().replace(/[^A-Z0-9_]/g, "_");
}

/** The variables that set one property of one task type, by its spellings; the strongest first. */
export function variablesOf(taskDefName: string, spellings: readonly string[]): string[] {
  return [
    ...spellings.map((name) => `${PREFIX}${envToken(taskDefName)}_${name}`),
    ...spellings.map((name) => `${DOTTED_PREFIX}${taskDefName}.${name.toLowerCase()}`),
    ...spellings.map((name) => `${PREFIX}ALL_${name}`),
    ...spellings.map((name) => `${DOTTED_PREFIX}all.${name.toLowerCase()}`),
  ];
}

/**
 * One line for each variable that looks as if it were meant for these workers, and is not read. Variables of task types
 * that this process does not have are nobody's business: one environment may serve a whole fleet.
 */
export function warnOfVariables(env: Env, taskDefNames: Iterable<string>): string[] {
  const names = new Set(taskDefNames);
  const tokens = new Set(["ALL", ...[...names].map(envToken)]);
  const warnings: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (value === undefined || isBlank(value) || OF_THE_PROCESS.has(variable)) continue;
    const warning = variable.startsWith(DOTTED_PREFIX)
      ? judgeDotted(variable, names)
      : judgeUnderscored(variable, tokens);
    if (warning !== undefined) warnings.push(warning);
  }
  return warnings.sort();
}

function judgeUnderscored(variable: string, tokens: ReadonlySet<string>): string | undefined {
  if (!variable.toUpperCase().startsWith(PREFIX)) return undefined;
  const rest = envToken(variable.slice(PREFIX.length));
  if (OF_THE_PROCESS.has(PREFIX + rest)) return undefined;
  // One task name may begin another (GREET, GREET_ALL): the reading that makes sense wins, then the longest name.
  const readings = [...tokens]
    .filter((token) => rest.startsWith(`${token}_`))
    .sort((a, b) => b.length - a.length)
    .map((token) => ({ token, prop: rest.slice(token.length + 1) }));

  if (readings.some(({ prop }) => OUR_PROPS.has(prop))) {
    return variable === PREFIX + rest ? undefined : `${variable} is not read: its name is ${PREFIX}${rest}`;
  }
  const foreign = readings.find(({ prop }) => Object.hasOwn(FOREIGN_PROPS, prop));
  if (foreign !== undefined) return ignored(variable, foreign.prop);
  if (OUR_PROPS.has(rest)) return `${variable} is not read: for all workers, its name is ${PREFIX}ALL_${rest}`;
  const first = readings[0];
  if (first === undefined) return undefined;
  const guess = nearest(first.prop, OUR_PROPS);
  return unknown(variable, guess === undefined ? undefined : `${PREFIX}${first.token}_${guess}`);
}

function judgeDotted(variable: string, names: ReadonlySet<string>): string | undefined {
  const lastDot = variable.lastIndexOf(".");
  const task = variable.slice(DOTTED_PREFIX.length, Math.max(lastDot, DOTTED_PREFIX.length));
  if (task !== "all" && !names.has(task)) return undefined;
  const given = variable.slice(lastDot + 1);
  const prop = given.replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
  if (OUR_PROPS.has(prop)) {
    const rightful = `${DOTTED_PREFIX}${task}.${prop.toLowerCase()}`;
    return variable === rightful ? undefined : `${variable} is not read: its name is ${rightful}`;
  }
  if (Object.hasOwn(FOREIGN_PROPS, prop)) return ignored(variable, prop);
  const guess = nearest(prop, OUR_PROPS)?.toLowerCase();
  return unknown(variable, guess === undefined ? undefined : `${DOTTED_PREFIX}${task}.${guess}`);
}

function ignored(variable: string, prop: string): string {
  return `${variable} is ignored and not needed: ${FOREIGN_PROPS[prop] ?? ""}`;
}

function unknown(variable: string, guess: string | undefined): string {
  const hint = guess === undefined ? `; a worker has ${[...OUR_PROPS].join(", ")}` : ` (did you mean ${guess}?)`;
  return `${variable} is not read: no worker of this process has it${hint}`;
}
