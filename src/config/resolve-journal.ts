import { unknownOptions } from "./nearest.js";
import { isBlank, quote } from "./parse.js";
import type { JournalOptions, Sourced } from "./types.js";

/** The one list of the fields of `journal`; the compiler holds it to the interface. */
const FIELDS = { dir: true, fsync: true } satisfies Record<keyof JournalOptions, true>;

/** Where the journal is kept; undefined when none is. Whether the folder can be used is seen when it is opened. */
export function resolveJournal(journal: unknown, problems: Set<string>): Sourced<Required<JournalOptions> | undefined> {
  if (journal === undefined) return { value: undefined, source: "default" };
  const wrong = (problem: string): Sourced<undefined> => {
    problems.add(problem);
    return { value: undefined, source: "code" };
  };
  if (typeof journal !== "object" || journal === null || Array.isArray(journal)) {
    const hint = typeof journal === "string" ? `; write journal: { dir: ${quote(journal)} }` : "";
    return wrong(`option journal must be an object with a dir, got ${quote(journal)}${hint}`);
  }
  for (const problem of unknownOptions(journal, FIELDS, "journal.")) problems.add(problem);
  const { dir, fsync = false } = journal as Partial<Record<keyof JournalOptions, unknown>>;
  if (typeof dir !== "string" || isBlank(dir))
    return wrong(`option journal.dir must name a folder, got ${quote(dir)}; leave journal out to keep none`);
  if (typeof fsync !== "boolean") return wrong(`option journal.fsync must be a boolean, got ${quote(fsync)}`);
  return { value: { dir, fsync }, source: "code" };
}
