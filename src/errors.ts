/** What went wrong, for programs. Stable across versions. */
export type OstinatoErrorCode =
  /** Options or environment were wrong; the message lists all of it. */
  | "INVALID_CONFIGURATION"
  /** The server answered with a status that refuses the request. */
  | "SERVER_REFUSED"
  /** An answer came, and it is none that Conductor gives (HTML, truncated JSON, …). */
  | "MALFORMED_RESPONSE"
  /** The request's total deadline passed. */
  | "DEADLINE_EXCEEDED"
  /** No connection could be made (refused, name not found, TLS). */
  | "CONNECT_FAILED"
  /** The connection died under the request. */
  | "CONNECTION_LOST"
  /** The transport was closed. */
  | "CLOSED"
  /** The request could not be built (a body that cannot be serialised, a bad argument). */
  | "INVALID_REQUEST"
  /** Thrown by user code to end a task for good. */
  | "NON_RETRYABLE"
  /** A task's deadline passed; the reason of `ctx.signal`. */
  | "TASK_DEADLINE_EXCEEDED"
  /** The worker is stopping; the reason of `ctx.signal`. */
  | "STOPPING"
  /** The server ended the task meanwhile; the reason of `ctx.signal`. */
  | "TASK_CANCELLED";

const brand = Symbol.for("ostinato.error");

/**
 * The base of every error this package makes. Recognised by a symbol, so `instanceof` also holds between two copies of
 * the package in one process.
 */
export class OstinatoError extends Error {
  readonly code: OstinatoErrorCode;

  constructor(code: OstinatoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, brand, { value: new.target.name });
  }

  override get name(): string {
    return this.constructor.name;
  }

  static override [Symbol.hasInstance](value: unknown): boolean {
    if (typeof value !== "object" || value === null) return false;
    if (this === OstinatoError) return brand in value;
    return Function.prototype[Symbol.hasInstance].call(this, value) || isBrandedAs(value, this.name);
  }
}

/** True when `value` is an error named `name` of any copy of this package. Never throws, whatever it is given. */
export function isBrandedAs(value: unknown, name: string): boolean {
  try {
    return typeof value === "object" && value !== null && (value as Record<symbol, unknown>)[brand] === name;
  } catch {
    return false;
  }
}

/** Options or environment that cannot work. `problems` has one line for each wrong value: what, where, what to do. */
export class ConfigurationError extends OstinatoError {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      "INVALID_CONFIGURATION",
      problems.length === 1
        ? `Ostinato cannot start: ${problems[0]}`
        : `Ostinato cannot start, ${problems.length} things are wrong:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.problems = problems;
  }
}
