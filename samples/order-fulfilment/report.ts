import type { Audit } from "ostinato/testing";
import type { Accounts, TypeAccount } from "./accounts.js";
import type { OrderCounts } from "./orders.js";
import { clip } from "./progress.js";

/** All that is known in the end. */
export interface Outcome {
  readonly counts: OrderCounts;
  readonly accounts: Accounts;
  /** The server's own books; only the embedded Conductor keeps them. */
  readonly audit: Audit | undefined;
  readonly elapsedMs: number;
  /** Why it ended early, if it did. */
  readonly interruption: string | undefined;
}

/** What to do with a good and a bad number; nothing, where there are no colours. */
export interface Palette {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

export const PLAIN: Palette = { good: (text) => text, bad: (text) => text };
export const COLOURED: Palette = {
  good: (text) => `\x1b[32m${text}\x1b[39m`,
  bad: (text) => `\x1b[31m${text}\x1b[39m`,
};

/** tasks, retries, p50, p95, p50, p95 */
const COLUMN_WIDTHS = [8, 10, 10, 8, 10, 8];
const COUNTS_WIDTH = 18;
const PERCENTILES_WIDTH = 18;

/** Tasks that were handed out and never heard of again. */
export function tasksLost({ accounts, audit }: Pick<Outcome, "accounts" | "audit">): number {
  return Math.max(accounts.lost, audit?.violations.lost.length ?? 0);
}

/** Tasks whose result came more than once, or that were given to us again although they were ours. */
export function tasksTwice({ accounts, audit }: Pick<Outcome, "accounts" | "audit">): number {
  const { reportedMoreThanOnce = [], handedOutTwice = [] } = audit?.violations ?? {};
  return Math.max(accounts.executedTwice, reportedMoreThanOnce.length + handedOutTwice.length);
}

/** Everything was completed, nothing lost and nothing done twice. */
export function isFlawless(outcome: Outcome): boolean {
  const { counts } = outcome;
  return counts.completed === counts.total && tasksLost(outcome) === 0 && tasksTwice(outcome) === 0;
}

interface Row {
  readonly name: string;
  readonly value: string;
  /** Undefined: neither good nor bad. */
  readonly isGood?: boolean;
}

/** The lines of the report, none longer than `width` characters (colours not counted). */
export function reportLines(outcome: Outcome, width: number, palette: Palette = PLAIN): string[] {
  const { accounts, interruption } = outcome;
  const table = tableLines(accounts.types);
  const isWide = table.every((line) => line.length <= width);
  const body = isWide ? table : accounts.types.flatMap(blockLines);
  return [
    ...["", ...body, ""].map((line) => clip(line, width)),
    ...summaryLines(summaryOf(outcome), width, palette),
    ...(interruption === undefined ? [] : ["", clip(interruption, width)]),
  ];
}

function summaryOf(outcome: Outcome): Row[] {
  const { counts, accounts, audit, elapsedMs } = outcome;
  const lost = tasksLost(outcome);
  const twice = tasksTwice(outcome);
  return [
    {
      name: "workflows completed",
      value: `${counts.completed} of ${counts.total}`,
      isGood: counts.completed === counts.total,
    },
    ...[...counts.endedBadly].map(([status, n]) => ({ name: `workflows ${status}`, value: String(n), isGood: false })),
    { name: "tasks completed", value: String(accounts.tasksCompleted) },
    { name: "leases extended", value: String(accounts.leasesExtended) },
    ...(accounts.handedBack > 0 ? [{ name: "tasks handed back", value: String(accounts.handedBack) }] : []),
    { name: "tasks lost", value: String(lost), isGood: lost === 0 },
    { name: "tasks done twice", value: String(twice), isGood: twice === 0 },
    { name: "checked against", value: audit === undefined ? "our own events" : "the server's ledger" },
    { name: "time", value: `${(elapsedMs / 1000).toFixed(1)} s` },
  ];
}

function summaryLines(rows: readonly Row[], width: number, palette: Palette): string[] {
  const longest = Math.max(...rows.map(({ name }) => name.length));
  const isWide = rows.every(({ value }) => longest + 2 + value.length <= width);
  return rows.map(({ name, value, isGood }) => {
    const label = isWide ? `${name.padEnd(longest)}  ` : `${name} `;
    const shown = clip(label + value, width);
    if (isGood === undefined) return shown;
    const tone = isGood ? palette.good : palette.bad;
    return shown.length > label.length ? label + tone(shown.slice(label.length)) : shown;
  });
}

function tableLines(types: readonly TypeAccount[]): string[] {
  const nameWidth = Math.max("task type".length, ...types.map(({ taskType }) => taskType.length));
  const row = (name: string, ...cells: readonly string[]) =>
    name.padEnd(nameWidth) + cells.map((cell, column) => cell.padStart(COLUMN_WIDTHS[column] ?? 0)).join("");
  return [
    "".padEnd(nameWidth + COUNTS_WIDTH) +
      "pickup, ms".padStart(PERCENTILES_WIDTH) +
      "run, ms".padStart(PERCENTILES_WIDTH),
    row("task type", "tasks", "retries", "p50", "p95", "p50", "p95"),
    ...types.map(({ taskType, completed, retries, pickupMs, executionMs }) =>
      row(taskType, String(completed), String(retries), ...percentiles(pickupMs), ...percentiles(executionMs)),
    ),
  ];
}

/** The same for a narrow terminal, one fact a line. */
function blockLines(type: TypeAccount): string[] {
  const [pickup50, pickup95] = percentiles(type.pickupMs);
  const [run50, run95] = percentiles(type.executionMs);
  return [
    type.taskType,
    `  tasks ${type.completed}`,
    `  retries ${type.retries}`,
    `  pickup ${pickup50}/${pickup95} ms`,
    `  run ${run50}/${run95} ms`,
  ];
}

function percentiles(values: readonly number[]): [p50: string, p95: string] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
    return value === undefined ? "-" : String(Math.round(value));
  };
  return [at(0.5), at(0.95)];
}
