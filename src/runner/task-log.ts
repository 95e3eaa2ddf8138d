import type { TaskLog } from "../conductor/types.js";

/** Keeps what a function logs until its result is made. */
export interface TaskLogKeeper {
  /** The lines for the result, `lastLine` behind them; more than the server keeps are joined. */
  takeLogs(lastLine?: string): TaskLog[] | undefined;
}

/** The server keeps 10 lines of an update. */
const MAX_LOG_LINES = 10;

/** At most as many entries as the server keeps, in order, nothing lost. */
export function joinLogs(lines: readonly TaskLog[]): TaskLog[] {
  if (lines.length <= MAX_LOG_LINES) return [...lines];
  const joined: TaskLog[] = [];
  for (let i = 0; i < MAX_LOG_LINES; i += 1) {
    const from = Math.floor((i * lines.length) / MAX_LOG_LINES);
    const part = lines.slice(from, Math.floor(((i + 1) * lines.length) / MAX_LOG_LINES));
    joined.push({ log: part.map((line) => line.log).join("\n"), createdTime: part[0]?.createdTime ?? 0 });
  }
  return joined;
}
