import path from "node:path";
import { isMetricsRegistry, type MetricsRegistry } from "../metrics/registry.js";
import { asGiven, asItIs, setting, type Option } from "./option.js";
import { decimal, flag, integer, quote, text, type Kind } from "./parse.js";
import { LOG_SETTINGS, PROCESS_OPTIONS } from "./process-settings.js";
import { AUTH_VARIABLES, resolveAuth } from "./resolve-auth.js";
import { resolveJournal } from "./resolve-journal.js";
import { resolveServerUrl, SERVER_URL_VARIABLE } from "./server-url.js";
import type { TaskHandlerOptions } from "./types.js";

/** A path, made absolute when the options are read: a function may change the working directory later. */
const absolutePath: Kind<string> = {
  ...text,
  fromCode: (value) => (typeof value === "string" ? path.resolve(value.trim()) : undefined),
};

/**
 * The one table of the handler's options: the names that are known, their variables, defaults and limits, and what is
 * told of them at start, in this order. The compiler holds it to the interface, whose docstrings are for the user.
 */
export const HANDLER_OPTIONS = {
  serverUrl: {
    variables: [SERVER_URL_VARIABLE],
    read: ({ code, env }, problems) => resolveServerUrl(code, env, problems),
    show: asItIs,
  } satisfies Option<string>,
  auth: {
    variables: AUTH_VARIABLES,
    read: ({ code, env }, problems) => resolveAuth(code, env, problems),
    show: (credentials) => (credentials === undefined ? "none" : "key"),
  } satisfies Option<ReturnType<typeof resolveAuth>["value"]>,
  /** Workers are resolved one by one, by `resolveWorker`. */
  workers: asGiven<unknown>(() => undefined),
  requestTimeoutMs: setting(integer(100, 600_000, " (ms)"), {
    variables: ["CONDUCTOR_REQUEST_TIMEOUT_MS"],
    fallback: 10_000,
    show: asItIs,
  }),
  stallTimeoutSeconds: setting(
    decimal((value) => value >= 0, "a number of seconds, 0 (off) or more"),
    {
      variables: ["CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS"],
      fallback: 300,
      show: (seconds) => (seconds === 0 ? "off" : seconds),
    },
  ),
  maxHeldPolls: setting(integer(1, 1000), { fallback: 16 }),
  followWorkflows: setting(flag, { fallback: true }),
  watchdog: setting(flag, { fallback: undefined, show: (isOn) => isOn ?? "default" }),
  onStall: asGiven<NonNullable<TaskHandlerOptions["onStall"]>>((onStall, option) =>
    typeof onStall === "function" ? undefined : `${option} must be a function, got ${quote(onStall)}`,
  ),
  stallReportFile: setting(absolutePath, { fallback: undefined }),
  ...PROCESS_OPTIONS,
  journal: { variables: [], read: ({ code }, problems) => resolveJournal(code, problems) } satisfies Option<
    ReturnType<typeof resolveJournal>["value"]
  >,
  registry: asGiven<MetricsRegistry | false>((registry, option) =>
    registry === false || isMetricsRegistry(registry)
      ? undefined
      : `${option} must be a prom-client Registry, or false for no metrics, got ${quote(registry)}`,
  ),
} satisfies Record<keyof TaskHandlerOptions, Option<unknown>>;

/** Every variable that sets something of a whole process, and not of one worker. */
export const PROCESS_VARIABLES: readonly string[] = Object.values<Option<unknown>>({
  ...HANDLER_OPTIONS,
  ...LOG_SETTINGS,
}).flatMap(({ variables }) => variables);
