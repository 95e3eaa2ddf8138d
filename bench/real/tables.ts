import type { RealQueue } from "../../test/support/servers/real-conductor/real-conductor.js";
import type { Crowded, Drained, Idled, Trickled } from "./loads.js";
import { NOBODY, type Rows } from "./results.js";

type Column<T> = readonly [title: string, cell: (row: T) => string];

const NAME_WIDTH = 11;

/** A first column with the clients' names, and numbers beside it. */
function table<T>(title: string, columns: readonly Column<T>[], rows: Rows<T>): string {
  const line = (name: string, cells: readonly string[]) =>
    [name.padEnd(NAME_WIDTH), ...cells.map((cell, index) => cell.padStart(columns[index]?.[0].length ?? 0))].join("  ");
  const head = line(
    "client",
    columns.map(([name]) => name),
  );
  const body = [...rows].map(([name, row]) =>
    line(
      name,
      columns.map(([, cell]) => cell(row)),
    ),
  );
  return [title, head, "-".repeat(head.length), ...body, ""].join("\n");
}

const fixed = (value: number, digits = 1): string => value.toFixed(digits);

export function drainTable(queue: RealQueue, workflows: number, rows: Rows<Drained>): string {
  return table(
    `(a) ${queue}: ${workflows} waiting workflows of 3 sequential no-op tasks`,
    [
      ["tasks/s", (row) => fixed(row.tasksPerSecond, 0)],
      ["server CPU ms/task", (row) => fixed(row.serverMsPerTask, 2)],
      ["client CPU ms/task", (row) => fixed(row.clientMsPerTask, 2)],
    ],
    rows,
  );
}

export function trickleTable(queue: RealQueue, seconds: number, rows: Rows<Trickled>): string {
  return table(
    `(b) ${queue}: 5 workflows a second for ${seconds} s, 5 task types one after the other`,
    [
      ["p50 ms", (row) => fixed(row.p50, 0)],
      ["p99 ms", (row) => fixed(row.p99, 0)],
      ["server ms/task", (row) => fixed(row.serverMsPerTask)],
      ["client ms/task", (row) => fixed(row.clientMsPerTask)],
      ["req/task", (row) => fixed(row.requestsPerTask)],
    ],
    rows,
  );
}

/** CPU beyond what the server needs with nobody there. */
export function idleTable(queue: RealQueue, seconds: number, rows: Rows<Idled>): string {
  const own = rows.get(NOBODY)?.serverCpu ?? 0;
  return table(
    `(c) ${queue}: 10 idle task types, ${seconds} s; the server alone takes ${fixed(own)} % of a core`,
    [
      ["req/s", (row) => fixed(row.requestsPerSecond)],
      ["server CPU added %", (row) => fixed(row.serverCpu - own)],
      ["client CPU %", (row) => fixed(row.clientCpu)],
      ["threads held", (row) => fixed(row.heldThreads)],
    ],
    new Map([...rows].filter(([name]) => name !== NOBODY)),
  );
}

export function crowdTable(queue: RealQueue, seconds: number, rows: Rows<Crowded>): string {
  return table(
    `(d) ${queue}: GET /workflow/{id} beside 40 clients of 10 idle task types, ${seconds} s`,
    [
      ["p50 ms", (row) => fixed(row.p50)],
      ["p90 ms", (row) => fixed(row.p90)],
      ["threads held", (row) => fixed(row.heldThreads)],
      ["req/s", (row) => fixed(row.requestsPerSecond, 0)],
      ["server CPU %", (row) => fixed(row.serverCpu, 0)],
    ],
    rows,
  );
}
