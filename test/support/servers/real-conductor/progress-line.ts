/** As much of a terminal as we need. */
export interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const REFRESH_MS = 1_000;
/** Where there is no terminal, a line now and then says that it goes on. */
const REMIND_EVERY_REFRESHES = 10;

export interface ProgressLine {
  /** Something else begins. */
  step(text: string): void;
  /** Nothing is under way any more. */
  clear(): void;
}

/** Shows what is under way and for how long: a line that updates on a terminal, else plain lines. */
export function createProgressLine(output: Output): ProgressLine {
  const isTerminal = output.isTTY === true;
  let timer: NodeJS.Timeout | undefined;

  const end = (): void => {
    clearInterval(timer);
    if (timer !== undefined && isTerminal) output.write("\r\x1b[K");
    timer = undefined;
  };
  return {
    step(text) {
      end();
      let refreshes = 0;
      const show = (): void => {
        if (isTerminal) {
          const line = refreshes === 0 ? `${text} …` : `${text} … ${refreshes} s`;
          // A line that wraps cannot be taken back.
          output.write(`\r\x1b[K${line.slice(0, Math.max(1, (output.columns ?? 80) - 1))}`);
        } else if (refreshes % REMIND_EVERY_REFRESHES === 0) {
          output.write(refreshes === 0 ? `${text} …\n` : `… ${refreshes} s\n`);
        }
      };
      show();
      timer = setInterval(() => {
        refreshes += 1;
        show();
      }, REFRESH_MS);
    },
    clear: end,
  };
}
