/** What a progress line tells. */
export interface ProgressState {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
  readonly tasks: number;
  readonly elapsedMs: number;
}

/** The part of a terminal, or of what stands in its place, that is used here. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export interface Progress {
  /** Shows how things stand, now if it is time. */
  update(state: ProgressState): void;
  /** Leaves the last state on a line of its own. */
  finish(state: ProgressState): void;
  /** Writes a line that is no progress, without tearing the bar. */
  note(line: string): void;
}

/** What no line exceeds, however wide the terminal is. */
const MAX_WIDTH = 80;
const REDRAW_EVERY_MS = 100;
/** Without a terminal: a log, not a film. */
const LINE_EVERY_MS = 3_000;
const BAR_MAX = 40;
const BAR_MIN = 8;

/** Whether the bar can be drawn in place. Control codes are for terminals that know them, and for nobody else. */
export function canRedraw(screen: Screen, env: NodeJS.ProcessEnv): boolean {
  return screen.isTTY === true && env.TERM !== "dumb";
}

/** Whether colours are welcome: https://no-color.org. */
export function hasColours(screen: Screen, env: NodeJS.ProcessEnv): boolean {
  return canRedraw(screen, env) && (env.NO_COLOR ?? "") === "";
}

/** How many characters a line may have. */
export function widthOf(screen: Screen): number {
  const { columns = 0 } = screen;
  return columns > 0 ? Math.min(columns, MAX_WIDTH) : MAX_WIDTH;
}

/** One line of at most `width` characters; with less room it says less. */
export function progressLine(state: ProgressState, width: number, hasBar: boolean): string {
  const { total, completed, failed, tasks, elapsedMs } = state;
  const ended = completed + failed;
  const share = total === 0 ? 1 : ended / total;
  const count = `${String(ended).padStart(String(total).length)}/${total}`;
  const orders = `${count} orders${failed > 0 ? `, ${failed} failed` : ""}`;
  const time = `${(elapsedMs / 1000).toFixed(1)} s`;
  const texts = [
    `${orders}, ${String(tasks).padStart(String(total * 5).length)} tasks, ${time}`,
    `${orders}, ${time}`,
    orders,
    count,
  ];
  if (hasBar) {
    for (const text of texts) {
      // Two brackets and a blank.
      const room = Math.min(BAR_MAX, width - text.length - 3);
      if (room >= BAR_MIN) return `[${bar(share, room)}] ${text}`;
    }
  }
  return clip(texts.find((text) => text.length <= width) ?? count, width);
}

/** The text, cut to `width` characters. */
export function clip(text: string, width: number): string {
  if (text.length <= width) return text;
  return width > 3 ? `${text.slice(0, width - 3)}...` : text.slice(0, Math.max(width, 0));
}

function bar(share: number, room: number): string {
  // Full only when all is done.
  return "=".repeat(Math.floor(share * room)).padEnd(room, "-");
}

/**
 * A bar that is drawn in place on a terminal, and now and then a plain line anywhere else. `now` in ms, from any start.
 */
export function createProgress(
  screen: Screen,
  notes: Screen,
  env: NodeJS.ProcessEnv,
  now: () => number = () => performance.now(),
): Progress {
  const inPlace = canRedraw(screen, env);
  const every = inPlace ? REDRAW_EVERY_MS : LINE_EVERY_MS;
  let drawnAt = inPlace ? -Infinity : now();
  let drawn = "";
  let isFinished = false;

  // One column stays free: some terminals wrap when the last one is written.
  const line = (state: ProgressState) => progressLine(state, widthOf(screen) - (inPlace ? 1 : 0), inPlace);
  const draw = (text: string): void => {
    drawnAt = now();
    if (text === drawn) return;
    drawn = text;
    screen.write(inPlace ? `\r${text}\x1b[K` : `${text}\n`);
  };

  return {
    update(state) {
      if (now() - drawnAt < every) return;
      draw(line(state));
    },
    finish(state) {
      draw(line(state));
      if (inPlace) screen.write("\n");
      isFinished = true;
    },
    note(text) {
      const isOnLine = inPlace && drawn !== "" && !isFinished;
      if (isOnLine) screen.write("\r\x1b[K");
      notes.write(`${clip(text, widthOf(screen))}\n`);
      if (isOnLine) screen.write(drawn);
    },
  };
}
