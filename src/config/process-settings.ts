import type { LogFormat } from "../log/default-logger.js";
import type { Logger } from "../log/logger.js";
import { asGiven, asItIs, readOptions, setting, type OptionTable, type Read } from "./option.js";
import { integer, oneOf, text, type Env } from "./parse.js";

/** The options that a handler and a supervisor have in common. */
export const PROCESS_OPTIONS = {
  adminPort: setting(integer(0, 65_535), {
    variables: ["CONDUCTOR_WORKER_ADMIN_PORT"],
    fallback: undefined,
    show: (port) => port ?? "none",
  }),
  adminHost: setting(text, { variables: ["CONDUCTOR_WORKER_ADMIN_HOST"], fallback: "127.0.0.1" }),
  logger: asGiven<Logger>(loggerProblem),
};

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/** How the default logger writes: for the environment alone to say. */
export const LOG_SETTINGS = {
  logLevel: setting(oneOf(LOG_LEVELS, { warning: "warn", critical: "fatal" }), {
    variables: ["CONDUCTOR_LOG_LEVEL"],
    fallback: "info",
    show: asItIs,
  }),
  /** Undefined: by whether stdout is a terminal. */
  logFormat: setting(oneOf<LogFormat>(["pretty", "json"]), {
    variables: ["CONDUCTOR_LOG_FORMAT"],
    fallback: undefined,
  }),
};

/** Reads the options of a handler or of a supervisor, and with them how its default logger writes. */
export function readProcessOptions<Table extends OptionTable>(
  table: Table,
  options: object,
  env: Env,
  problems: Set<string>,
): Read<Table> & Read<typeof LOG_SETTINGS> {
  const from = (code: object) => (name: string, variables: readonly string[]) => ({
    env,
    variables,
    option: `option ${name}`,
    code: Reflect.get(code, name) as unknown,
  });
  return { ...readOptions(table, from(options), problems), ...readOptions(LOG_SETTINGS, from({}), problems) };
}

function loggerProblem(logger: unknown): string | undefined {
  const missing = ["debug", "info", "warn", "error"].filter(
    (level) => typeof logger !== "object" || logger === null || typeof Reflect.get(logger, level) !== "function",
  );
  if (missing.length === 0) return undefined;
  return `option logger must be a pino logger or of its shape; it lacks ${missing.join(", ")}`;
}
