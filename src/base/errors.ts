/** What went wrong, for programs. Stable across versions. */
export type OstinatoErrorCode =
  /** Options or environment were wrong; the message lists all of it. */
  | "INVALID_CONFIGURATION"
  /** The server answered with a status that refuses the request. */
  | "SERVER_REFUSED"
  /** An answer came, and it is none that Conductor gives (HTML, truncated JSON, …). */
  | "MALFORMED_RESPONSE"
  /** An answer came, and it is longer than may be accepted; it was cut off. */
  | "RESPONSE_TOO_LARGE"
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
 * the package in one process. A class that a user derives is compared the ordinary way, for its name may not be unique;
 * its instances are instances of this package's classes in every copy.
 */
export class OstinatoError extends Error {
  static {
    brandErrorClass(this, "OstinatoError");
  }

  readonly code: OstinatoErrorCode;

  constructor(code: OstinatoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, brand, { value: lineageOf(new.target) });
  }

  /** The name of the class, minified or not. */
  override get name(): string {
    return brandOf(this.constructor) ?? this.constructor.name;
  }

  /** Never throws, whatever it is given. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const name = brandOf(this);
    if (name !== undefined && isBrandedAs(value, name)) return true;
    try {
      return Function.prototype[Symbol.hasInstance].call(this, value);
    } catch {
      return false; // a proxy that does not want to be asked
    }
  }
}

/**
 * Gives a class of this package the name by which every copy knows it, minified or not. Called once, in a `static`
 * block of each class below {@link OstinatoError}.
 */
export function brandErrorClass(target: abstract new (...args: never) => OstinatoError, name: string): void {
  Object.defineProperty(target, brand, { value: name });
}

/** True when `value` is an error named `name`, or derived from it, of any copy. Never throws, whatever it is given. */
export function isBrandedAs(value: unknown, name: string): boolean {
  try {
    if (typeof value !== "object" || value === null) return false;
    const lineage = (value as Record<symbol, unknown>)[brand];
    return Array.isArray(lineage) && lineage.includes(name);
  } catch {
    return false;
  }
}

/** The class's own brand: a class derived by a user has none, though it inherits one. */
function brandOf(target: object): string | undefined {
  return Object.hasOwn(target, brand) ? (target as Record<symbol, string>)[brand] : undefined;
}

/** The names from the class of an error up to {@link OstinatoError}. */
function lineageOf(target: new (...args: never) => OstinatoError): readonly string[] {
  const names: string[] = [];
  let current: unknown = target;
  while (typeof current === "function" && current !== Error && current !== Function.prototype) {
    names.push(brandOf(current) ?? current.name);
    current = Object.getPrototypeOf(current);
  }
  return names;
}

/** Options or environment that cannot work. `problems` has one line for each wrong value: what, where, what to do. */
export class ConfigurationError extends OstinatoError {
  static {
    brandErrorClass(this, "ConfigurationError");
  }

  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      "INVALID_CONFIGURATION",
      problems.length === 1
        ? `Ostinato cannot start: ${problems[0]}`
        : `Ostinato cannot start, ${problems.length} things are wrong:\n${problems.map((p) => `  - ${p}`).join("\n")}`,
    );
    this.problems = [...problems];
  }
}
