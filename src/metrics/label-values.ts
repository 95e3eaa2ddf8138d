/** What stands for every value that is one too many. */
export const OTHER = "other";

/**
 * What an error is called: its class, or its `code` where the class says nothing (a plain `Error`, or any failed request).
 * Never its message. Any text, of any length; see {@link sanitised}. Never throws.
 */
export function exceptionName(error: unknown): string {
  try {
    return ownNameOf(error);
  } catch {
    return "unknown";
  }
}

function ownNameOf(error: unknown): string {
  if (typeof error !== "object") return typeof error;
  if (error === null) return "null";
  const { name } = error as { name?: unknown };
  if (isTelling(name)) return name;
  if (name !== CONDUCTOR_ERROR) {
    const { constructor } = error as { constructor?: { name?: unknown } };
    const className = constructor?.name;
    if (isTelling(className)) return className;
  }
  const { code } = error as { code?: unknown };
  if (typeof code === "string" && code !== "") return code;
  return error instanceof Error ? "Error" : "Object";
}

const CONDUCTOR_ERROR = "ConductorError";

function isTelling(name: unknown): name is string {
  return typeof name === "string" && name !== "" && name !== "Error" && name !== "Object" && name !== CONDUCTOR_ERROR;
}

/** A name as a label's value: letters, digits and underscores, 64 at most. */
export function sanitised(name: string): string {
  if (/^[A-Za-z0-9_]{1,64}$/.test(name)) return name;
  const clean = name.slice(0, 64).replace(/[^A-Za-z0-9_]/g, "_");
  return clean === "" ? "unknown" : clean;
}

/** Lets so many different values of a label through; those that come later are {@link OTHER}. */
export class BoundedValues {
  readonly #seen = new Set<string>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  of(value: string): string {
    if (this.#seen.has(value)) return value;
    if (this.#seen.size >= this.#max) return OTHER;
    this.#seen.add(value);
    return value;
  }
}
