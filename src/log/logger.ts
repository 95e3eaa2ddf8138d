import { ignoreRejection } from "../base/on-rejection.js";

/**
 * What Ostinato needs of a logger: pino's shape. Fields first, then the message. A logger that throws harms nobody; see
 * `safeLogger`.
 */
export interface Logger {
  /** What only a search for a fault needs. */
  debug(fields: object, message: string): void;
  /** What happens in the life of a worker: it starts, a server is back, it drains. */
  info(fields: object, message: string): void;
  /** Something is wrong, and the worker helps itself. */
  warn(fields: object, message: string): void;
  /** Something is wrong that needs somebody: a result that cannot be delivered, a process that is stuck. */
  error(fields: object, message: string): void;
  /** A logger that adds `bindings` to each line. */
  child?(bindings: object): Logger;
}

/** A logger that can be called without care: see {@link safeLogger}. */
export interface SafeLogger extends Logger {
  child(bindings: object): SafeLogger;
}

/** By which a logger of ours takes a line that is the only copy of something: see {@link logOnlyCopy}. */
export const ONLY_COPY = Symbol("onlyCopy");

/** A logger that does more for such a line than for others. */
interface OnlyCopyLogger {
  [ONLY_COPY]?(fields: object, message: string): void;
}

/** What the message of such a line ends with. */
export const ALL_THAT_IS_LEFT = "this line is all that is left of it";

/**
 * An error whose line is the only copy of something. The default logger writes it whole, or puts it into a file that the
 * line names; any other gets it as an error. `message` is completed by what became of it.
 */
export function logOnlyCopy(logger: Logger, fields: object, message: string): void {
  const { [ONLY_COPY]: write } = logger as OnlyCopyLogger;
  if (write === undefined) ignoreRejection(logger.error(fields, `${message}; ${ALL_THAT_IS_LEFT}`));
  else write.call(logger, fields, message);
}

const safe = new WeakSet<object>();

/**
 * Wraps a logger so that nothing it does reaches the caller: what it throws is swallowed, what it returns is not waited
 * for, and a rejection of it is caught. `child()` always works: where the logger has none, or it throws or returns no
 * logger, the bindings are added to the fields of each line. Wrapping twice is harmless.
 */
export function safeLogger(logger: Logger): SafeLogger {
  return safe.has(logger) ? (logger as SafeLogger) : wrap(logger, undefined);
}

function wrap(logger: Logger, bindings: object | undefined): SafeLogger {
  const write = (level: "debug" | "info" | "warn" | "error") => (fields: object, message: string) => {
    try {
      ignoreRejection(logger[level](bindings === undefined ? fields : merged(bindings, fields), message));
    } catch {
      // A log line is not worth a task.
    }
  };
  const wrapped: SafeLogger & OnlyCopyLogger = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    [ONLY_COPY](fields, message) {
      try {
        logOnlyCopy(logger, bindings === undefined ? fields : merged(bindings, fields), message);
      } catch {
        // Whatever a logger does, it harms nobody.
      }
    },
    child(more) {
      const all = bindings === undefined ? more : merged(bindings, more);
      const own = childOf(logger, all);
      return own === undefined ? wrap(logger, all) : wrap(own, undefined);
    },
  };
  safe.add(wrapped);
  return wrapped;
}

/** Both, or the first if the second cannot be read. */
function merged(first: object, second: object): object {
  try {
    return { ...first, ...second };
  } catch {
    return first;
  }
}

function childOf(logger: Logger, bindings: object): Logger | undefined {
  try {
    const child: unknown = logger.child?.(bindings);
    if (typeof child !== "object" || child === null) return undefined;
    if (typeof (child as Logger).info === "function") return child as Logger;
    ignoreRejection(child);
    return undefined;
  } catch {
    return undefined;
  }
}
