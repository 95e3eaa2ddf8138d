import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The groups of the suite, in the document's order, with the numbers of their faults. */
export const GROUPS = [
  { name: "Connections", from: 1, to: 11 },
  { name: "Server", from: 12, to: 23 },
  { name: "User code", from: 24, to: 31 },
  { name: "Process", from: 32, to: 40 },
  { name: "Strangers", from: 41, to: 47 },
  { name: "Recovery", from: 48, to: 54 },
  { name: "Bounds", from: 55, to: 59 },
  { name: "Everything at once", from: 60, to: 60 },
] as const;

export type GroupName = (typeof GROUPS)[number]["name"];

/** What one run of one fault showed; written only when every check of it held. */
export interface FaultRow {
  readonly number: number;
  readonly group: GroupName;
  readonly name: string;
  /** Which shape of the fault this is, where there are several. */
  readonly variant?: string;
  /** In words: what the fault did, and what the worker did about it. */
  readonly happened: string;
  /** From the fault's end (or, where it does not end, its beginning) to the first task done after it. */
  readonly recovery: { readonly kind: "took"; readonly ms: number } | { readonly kind: "nothingStopped" };
  readonly boundMs: number;
  /** Hand-outs that reached the worker or were on their way to it. */
  readonly tasks: number;
  readonly lost: number;
  /** Functions that ran again, by why. */
  readonly executedAgain: Readonly<Record<string, number>>;
  /** What in the code is there against this fault: without it the fault turns red. */
  readonly guard?: string;
}

/** Or a row that says why there is none. */
export interface SkippedRow extends Pick<FaultRow, "number" | "group" | "name" | "variant"> {
  readonly skipped: string;
}

const FOLDER = fileURLToPath(new URL("../../../.cache/faults/", import.meta.url));

export function fileOf({ number, name, variant }: Pick<FaultRow, "number" | "name" | "variant">): string {
  const words = `${name} ${variant ?? ""}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return `${String(number).padStart(2, "0")}-${words.replace(/^-|-$/g, "")}.json`;
}

export function writeRow(row: FaultRow | SkippedRow): void {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(FOLDER + fileOf(row), `${JSON.stringify(row, null, 2)}\n`);
}

/** A fault that is about to run has no row: one that fails leaves none behind. */
export function removeRow(row: Pick<FaultRow, "number" | "name" | "variant">): void {
  rmSync(FOLDER + fileOf(row), { force: true });
}

export function removeAllRows(): void {
  rmSync(FOLDER, { recursive: true, force: true });
}

export function readRows(): (FaultRow | SkippedRow)[] {
  try {
    const files = readdirSync(FOLDER).filter((file) => file.endsWith(".json"));
    return files.map((file) => JSON.parse(readFileSync(FOLDER + file, "utf8")) as FaultRow | SkippedRow);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
