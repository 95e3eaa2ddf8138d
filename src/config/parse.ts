import { inspect } from "node:util";
import type { Source, Sourced } from "./types.js";

/** The environment, as `process.env` has it. */
export type Env = Readonly<Record<string, string | undefined>>;

/** One kind of value: what it is called in a message, and how it is read. Both readers give undefined for "wrong". */
export interface Kind<T> {
  /** Goes after "must be". */
  readonly expected: string;
  /** What goes there for a value in code, where fewer forms are taken. */
  readonly expectedInCode?: string;
  /** The value may hold a secret: a message names its type only. */
  readonly concealed?: true;
  /** Reads the text of a variable, already trimmed and not empty. */
  fromText(text: string): T | undefined;
  /** Checks a value that was set in code. */
  fromCode(value: unknown): T | undefined;
}

/** Digits only: `1e3`, `0x10`, `10abc` and `NaN` are slips more often than intentions. */
const DECIMAL = /^-?\d+(\.\d+)?$/;

/** A whole number from `min` to `max`. `note` says what the limits mean. */
export function integer(min: number, max: number, note = ""): Kind<number> {
  const inRange = (value: unknown) =>
    typeof value === "number" && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  return {
    expected: `an integer from ${min} to ${max}${note}`,
    fromText: (text) => (/^-?\d+$/.test(text) ? inRange(Number(text)) : undefined),
    fromCode: inRange,
  };
}

/** A number, fractions allowed, that satisfies `accepts`. */
export function decimal(accepts: (value: number) => boolean, expected: string): Kind<number> {
  const check = (value: unknown) =>
    typeof value === "number" && Number.isFinite(value) && accepts(value) ? value : undefined;
  return {
    expected,
    fromText: (text) => (DECIMAL.test(text) ? check(Number(text)) : undefined),
    fromCode: check,
  };
}

/** `true|1|yes|on` or `false|0|no|off` in a variable, in any case; a boolean in code. */
export const flag: Kind<boolean> = {
  expected: "true, 1, yes or on, or false, 0, no or off",
  expectedInCode: "true or false",
  fromText: (text) => {
    if (/^(true|1|yes|on)$/i.test(text)) return true;
    return /^(false|0|no|off)$/i.test(text) ? false : undefined;
  },
  fromCode: (value) => (typeof value === "boolean" ? value : undefined),
};

/** Any text; blanks around it are dropped. */
export const text: Kind<string> = {
  expected: "a string",
  fromText: (value) => value,
  fromCode: (value) => (typeof value === "string" ? value.trim() : undefined),
};

/** One of some words. A variable may have them in any case, or an alias (lower case) for one; code has them exactly. */
export function oneOf<T extends string>(words: readonly T[], aliases: Readonly<Record<string, T>> = {}): Kind<T> {
  return {
    expected: `one of ${words.join(", ")}`,
    fromText: (value) => {
      const lower = value.toLowerCase();
      return (
        words.find((word) => word.toLowerCase() === lower) ??
        (Object.hasOwn(aliases, lower) ? aliases[lower] : undefined)
      );
    },
    fromCode: (value) => words.find((word) => word === value),
  };
}

/** Where one value is looked for. */
export interface Given {
  readonly env: Env;
  /** The variables that set it, the strongest first. */
  readonly variables: readonly string[];
  /** What the value is called in code, for the message. */
  readonly option: string;
  readonly code: unknown;
}

/** A value where it was found. `wrong`: it could not be read and `value` is only a stand-in. */
export interface Found<T> extends Sourced<T> {
  readonly wrong: boolean;
}

/**
 * Finds one value: the first of `variables` that is set, else what `code` says, else `fallback`. A blank string is not
 * set. A value that cannot be read is a problem and never gives way to the next source: what somebody set must not be
 * ignored in silence.
 */
export function find<T, F extends T | undefined>(
  kind: Kind<T>,
  from: Given & { readonly fallback: F },
  problems: Set<string>,
): Found<T | F> {
  for (const name of from.variables) {
    const found = from.env[name]?.trim();
    if (found === undefined || found === "") continue;
    const source: Source = `env ${name}`;
    const value = kind.fromText(found);
    if (value !== undefined) return { value, source, wrong: false };
    problems.add(complaint(kind, kind.expected, `environment variable ${name}`, found));
    return { value: from.fallback, source, wrong: true };
  }
  if (from.code !== undefined && !isBlank(from.code)) {
    const value = kind.fromCode(from.code);
    if (value !== undefined) return { value, source: "code", wrong: false };
    problems.add(complaint(kind, kind.expectedInCode ?? kind.expected, from.option, from.code));
    return { value: from.fallback, source: "code", wrong: true };
  }
  return { value: from.fallback, source: "default", wrong: false };
}

function complaint(kind: Kind<unknown>, expected: string, what: string, got: unknown): string {
  const shown = kind.concealed ? `a value of type ${typeof got}` : quote(got);
  const hint = got === null ? "; leave it out for the default" : "";
  return `${what} must be ${expected}, got ${shown}${hint}`;
}

/** True for an empty or all-blank string, which means "not set" everywhere. */
export function isBlank(value: unknown): boolean {
  return typeof value === "string" && value.trim() === "";
}

/** A wrong value for a message: short, on one line, whatever it is. */
export function quote(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  try {
    return inspect(value, { depth: 0, breakLength: Infinity, maxArrayLength: 3, maxStringLength: 100 }).replace(
      /\s+/g,
      " ",
    );
  } catch {
    return `a value of type ${typeof value}`;
  }
}
