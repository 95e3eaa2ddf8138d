import type { Measured } from "./measure.js";
import type { FaultShape } from "./shape.js";

/** One fault, and what it did to both. */
export interface Row {
  readonly shape: FaultShape;
  readonly ostinato: Measured;
  readonly official: Measured;
}

export interface Versions {
  readonly official: string;
  readonly undici: string;
  readonly node: string;
}

/** One client's cells: seconds, stuck or died; lost; run again. */
export function cellsOf({ recoveredMs, hasDied, accounts }: Measured, boundMs: number): [string, string, string] {
  const { lost, lostFinished, lostUnbegun, again } = accounts;
  const kinds = [
    ...(lostFinished === 0 ? [] : [`${lostFinished} finished`]),
    ...(lostUnbegun === 0 ? [] : [`${lostUnbegun} never begun`]),
  ];
  const stopped = hasDied ? "**died**" : `**stuck** (${boundMs / 1_000} s)`;
  return [
    recoveredMs === undefined ? stopped : `${seconds(recoveredMs)} s`,
    lost === 0 ? "0" : `**${lost}**${kinds.length === 0 ? "" : ` (${kinds.join(", ")})`}`,
    again === 0 ? "0" : `**${again}**`,
  ];
}

/** To a tenth below ten. */
function seconds(ms: number): string {
  return ms < 9_950 ? (ms / 1_000).toFixed(1) : String(Math.round(ms / 1_000));
}

function remarksOf({ shape, ostinato, official }: Row): string {
  const told = (name: string, { remarks }: Measured) =>
    remarks.length === 0 ? [] : [`${name}: ${remarks.join("; ")}`];
  const note = shape.note === undefined ? [] : [shape.note];
  return [...told("Ostinato", ostinato), ...told("official", official), ...note].join("<br>");
}

function tableOf(rows: readonly Row[]): string[] {
  const lines = [
    "| | fault | Ostinato works again | lost | again | official works again | lost | again | besides |",
    "|---|---|---|---|---|---|---|---|---|",
  ];
  let last: FaultShape | undefined;
  for (const row of rows) {
    const { number, name, variant = "", boundMs } = row.shape;
    const isSame = last?.number === number && last.name === name;
    const cells = [
      last?.number === number || number === 0 ? "" : String(number),
      isSame ? `– ${variant}` : [name, ...(variant === "" ? [] : [`– ${variant}`])].join("<br>"),
      ...cellsOf(row.ostinato, boundMs),
      ...cellsOf(row.official, boundMs),
      remarksOf(row),
    ];
    lines.push(`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
    last = row.shape;
  }
  return lines;
}

/** The section of the document. */
export function sectionOf(rows: readonly Row[], { official, undici, node }: Versions): string {
  return [
    "## Beside the official SDK",
    "",
    "Some of these faults, injected in the same way into a worker of Ostinato and into one of the official SDK for",
    `JavaScript (\`@io-orkes/conductor-javascript\` ${official} on undici ${undici}, Node ${node}). Everything here was`,
    "measured by `npm run bench -- faults`, which wrote it, in one run.",
    "",
    "Each worker is a process of its own, without a supervisor, in front of a TCP proxy, a scripted gateway and the",
    "embedded Conductor. Both have **their defaults**, timeouts included (a request: 10 s beside the hold of a poll,",
    "against 60 s), and nobody listens to events (the official SDK tells `onTaskUpdateFailure` of a result that it gives",
    "up). What is set is the concurrency: 10; 1 in fault 3, for the one task of fault 21 and where a row says so; 5 in",
    "fault 17; 2 for the backlog of fault 21. (Other tables here have short timeouts, therefore other times.) A task",
    "definition has three retries and a response timeout of one hour, of 10 s in fault 24.",
    "",
    "- *Works again*: from the fault's end, or from its beginning where it does not end, to the first new task done; one",
    "  is started every 0.5 s, in fault 1 from the third second on. **Stuck**: not within the bound, which is the same for",
    "  both: 60 s, and 90 s where requests hang (1, 3, 9). **Died**: the process ended by itself, and nothing here starts",
    "  another.",
    "- *Lost*: tasks that were handed out to the worker, and that by the bound it has neither ended nor given back, so that",
    "  they wait for their response timeout, or that have run into it. *Finished*: their functions had returned, and the",
    "  result never arrived; *never begun*: no function was called for them; the others were running.",
    "- *Again*: workflows whose function ran once more although it had returned before.",
    "- After SIGTERM, with 30 s of grace, a new worker is started as soon as the old one has ended. Ostinato's `run()` sees",
    "  to the signal; the official SDK's README has a handler that calls `await stopWorkers()` and `process.exit(0)`. The",
    "  second row leaves that exit out. *Works again* counts from the signal, and contains the new worker's start; the",
    "  twenty tasks of the second row come before the new one.",
    "",
    ...tableOf(rows),
  ].join("\n");
}

/** The same for a terminal, one line a client. */
export function linesOf({ shape, ...row }: Row): string[] {
  const title = `(${shape.number === 0 ? "-" : shape.number}) ${shape.name}${shape.variant === undefined ? "" : `: ${shape.variant}`}`;
  const line = (name: "ostinato" | "official") => {
    const [again, lost, repeated] = cellsOf(row[name], shape.boundMs).map((cell) => cell.replaceAll("*", ""));
    const remarks = row[name].remarks.map((remark) => `; ${remark}`).join("");
    return `   ${name.padEnd(9)} works again: ${again ?? ""}, lost ${lost ?? ""}, run again ${repeated ?? ""}${remarks}`;
  };
  return [title, line("ostinato"), line("official")];
}
