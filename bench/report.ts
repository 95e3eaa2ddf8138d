/** The type of the tasks that are drained. */
export const TASK_TYPE_NAME = "noop";

/** One client's drain of one load. */
export interface Measurement {
  readonly tasks: number;
  /** From the first hand-out to the last distinct update, seen by the server. */
  readonly elapsedMs: number;
  /** User and system time of the client's process. */
  readonly cpuUs: number;
  readonly peakRssMb: number;
  /** User and system time of the stub's process. */
  readonly stubCpuUs: number;
  readonly repeatedUpdates: number;
  readonly requests: number;
  readonly connections: number;
}

/** All counted rounds of one client at one concurrency; the n-th of two clients ran next to each other. */
export interface Series {
  readonly client: string;
  readonly concurrency: number;
  readonly rounds: readonly Measurement[];
}

/** The middle one; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (upper === undefined || lower === undefined) throw new RangeError("median of nothing");
  return (lower + upper) / 2;
}

/** One line that is overwritten; nothing where nobody watches. */
export function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

/** Tasks per second. */
export function rate({ tasks, elapsedMs }: Measurement): number {
  return (tasks / elapsedMs) * 1_000;
}

/** The median of the ratios of neighbours, which a machine's slow minute touches less than a ratio of medians. */
export function pairwiseRatio(series: Series, base: Series): number {
  return pairwise(series, base, rate);
}

function pairwise(series: Series, base: Series, value: (round: Measurement) => number): number {
  return median(series.rounds.map((round, index) => value(round) / value(base.rounds[index]!)));
}

/** What one series costs beside another one, round by round. */
export function comparison(series: Series, other: Series): string {
  const of = (value: (round: Measurement) => number) => pairwise(series, other, value).toFixed(3);
  return `${series.client} against the other checkout's: ${of(rate)} of its tasks/s, ${of(({ cpuUs }) => cpuUs)} of its CPU`;
}

const COLUMNS = [
  ["conc.", 5],
  ["client", -10],
  ["tasks/s", 8],
  ["CPU µs/task", 12],
  ["peak RSS MB", 12],
  ["req/task", 9],
  ["stub busy", 9],
  ["x bare", 6],
] as const;

function row(cells: readonly string[]): string {
  return cells
    .map((cell, index) => {
      const width = COLUMNS[index]?.[1] ?? 0;
      return width < 0 ? cell.padEnd(-width) : cell.padStart(width);
    })
    .join(" ")
    .trimEnd();
}

/** The table's head. */
export function tableHead(): string {
  const titles = row(COLUMNS.map(([title]) => title));
  return `${titles}\n${"-".repeat(titles.length)}`;
}

/** One line of the table. */
export function tableRow(series: Series, base: Series | undefined): string {
  const of = (value: (round: Measurement) => number) => median(series.rounds.map(value));
  return row([
    String(series.concurrency),
    series.client,
    of(rate).toFixed(0),
    of(({ cpuUs, tasks }) => cpuUs / tasks).toFixed(1),
    of(({ peakRssMb }) => peakRssMb).toFixed(0),
    of(({ requests, tasks }) => requests / tasks).toFixed(2),
    `${of(({ stubCpuUs, elapsedMs }) => stubCpuUs / elapsedMs / 10).toFixed(0)} %`,
    base === undefined ? "" : pairwiseRatio(series, base).toFixed(2),
  ]);
}
