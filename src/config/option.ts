import { find, type Found, type Given, type Kind } from "./parse.js";
import type { Source, Sourced } from "./types.js";

/** What can stand after `name=` in the line that is printed at start. */
export type Shown = string | number | boolean;

/** One option: its variables, how it is read, and how it is shown. A table of these says all there is to know of it. */
export interface Option<T, G extends Given = Given> {
  /** The variables that win over the code, the strongest first. A worker's are only what follows the task type. */
  readonly variables: readonly string[];
  /** Finds the value. What is wrong is added to `problems`. */
  read(given: G, problems: Set<string>): Sourced<T>;
  /** The value in the line that is printed at start. Undefined, or no such function: the option is not in that line. */
  show?(value: T, source: Source): Shown | undefined;
}

/** An option of which is known whether it could be read. */
export interface Setting<T> extends Option<T> {
  read(given: Given, problems: Set<string>): Found<T>;
}

export type OptionTable<G extends Given = Given> = Readonly<Record<string, Option<unknown, G>>>;

/** What the options of a table were found to be. */
export type Read<Table extends object> = {
  readonly [K in keyof Table]: Table[K] extends { read(given: never, problems: never): infer R } ? R : never;
};

/** An option of one value: the first variable that is set, else what the code says, else `fallback`. */
export function setting<T, const F extends T | undefined>(
  kind: Kind<T>,
  from: {
    readonly fallback: F;
    readonly variables?: readonly string[];
    readonly show?: (value: T | F) => Shown;
  },
): Setting<T | F> {
  const { fallback, variables = [], show } = from;
  return {
    variables,
    read: (given, problems) => find(kind, { ...given, fallback }, problems),
    ...(show === undefined ? {} : { show }),
  };
}

/** An option that is taken from the code as it is. `problemOf` says what is wrong with one that is set. */
export function asGiven<T>(problemOf: (code: unknown, option: string) => string | undefined): Option<T | undefined> {
  return {
    variables: [],
    read({ code, option }, problems) {
      if (code === undefined) return { value: undefined, source: "default" };
      const problem = problemOf(code, option);
      if (problem !== undefined) problems.add(problem);
      return { value: code as T, source: "code" };
    },
  };
}

/** For an option that is shown as it is. */
export const asItIs = <T extends Shown>(value: T): T => value;

/** Reads every option of a table; `give` says where each is looked for. */
export function readOptions<G extends Given, Table extends OptionTable<G>>(
  table: Table,
  give: (name: string, variables: readonly string[]) => G,
  problems: Set<string>,
): Read<Table> {
  const found = Object.entries<Option<unknown, G>>(table).map(([name, option]) => {
    return [name, option.read(give(name, option.variables), problems)] as const;
  });
  return Object.fromEntries(found) as Read<Table>;
}

/** The values alone. */
export function valuesOf<F extends Readonly<Record<string, Sourced<unknown>>>>(
  found: F,
): { readonly [K in keyof F]: F[K]["value"] } {
  return Object.fromEntries(Object.entries(found).map(([name, { value }]) => [name, value])) as {
    [K in keyof F]: F[K]["value"];
  };
}

/** Where each value came from, as far as that is shown. */
export function sourcesOf(
  table: OptionTable<never>,
  found: Readonly<Record<string, Sourced<unknown>>>,
): Record<string, Source> {
  const shown = Object.entries(found).filter(([name]) => table[name]?.show !== undefined);
  return Object.fromEntries(shown.map(([name, { source }]) => [name, source]));
}
