import { clip } from "../order-fulfilment/progress.js";
import type { Told } from "./supervised.js";

/** What parts of a line look like; nothing, where there are no colours. */
export interface Palette {
  readonly bar: readonly [string, string];
  readonly first: (text: string) => string;
  readonly second: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly quiet: (text: string) => string;
}

const asItIs = (text: string): string => text;
const sgr = (on: number, off: number) => (text: string) => (text === "" ? "" : `\x1b[${on}m${text}\x1b[${off}m`);

export const PLAIN: Palette = {
  bar: ["#", "="],
  first: asItIs,
  second: asItIs,
  good: asItIs,
  bad: asItIs,
  quiet: asItIs,
};
export const COLOURED: Palette = {
  bar: ["\u2588", "\u2588"],
  first: sgr(36, 39),
  second: sgr(35, 39),
  good: sgr(32, 39),
  bad: sgr(31, 39),
  quiet: sgr(2, 22),
};

/** Tasks per second that one character of a bar stands for. */
const PER_CHARACTER = 2;
const BAR_WIDTH = 44;
/** Frames of a stack that a person reads. */
const FRAMES = 3;

export const time = (seconds: number): string => `${String(Math.max(0, Math.floor(seconds))).padStart(3)} s`;

export function legend({ bar, first, second }: Palette, pids: readonly number[]): string {
  const name = (place: number) => `process ${place} (pid ${pids[place] ?? "?"})`;
  return `tasks per second:  ${first(bar[0].repeat(2))} ${name(0)}   ${second(bar[1].repeat(2))} ${name(1)}`;
}

/** One second of work, by its end. */
export function rateLine(end: number, counts: readonly [number, number], palette: Palette): string {
  const [a, b] = counts.map((count) => Math.min(BAR_WIDTH / 2, Math.round(count / PER_CHARACTER))) as [number, number];
  const bars = palette.first(palette.bar[0].repeat(a)) + palette.second(palette.bar[1].repeat(b));
  return `${time(end)}  ${bars}${" ".repeat(BAR_WIDTH - a - b)} ${String(counts[0] + counts[1]).padStart(4)}/s`;
}

const INDENT = " ".repeat(7);

/** What happened, in the lines that a person reads. */
export function toldLines(told: Told, second: number, width: number, palette: Palette): string[] {
  const lines = (text: string, tone: (text: string) => string): string[] =>
    wrap(text, width - INDENT.length).map(
      (line, index) => `${index === 0 ? `${time(second)}  ` : INDENT}${tone(line)}`,
    );
  switch (told.kind) {
    case "ready":
      return lines(`process ${told.place} is there (pid ${told.pid})`, palette.good);
    case "ended":
      return lines(`process ${told.place}: ${told.message}`, palette.bad);
    case "stuck":
      return [
        ...lines(told.message, palette.bad),
        ...told.stack
          .filter((frame) => frame.startsWith("at "))
          .slice(0, FRAMES)
          .map((frame) => INDENT + palette.quiet(clip(`  ${frame}`, width - INDENT.length))),
      ];
  }
}

/** Breaks between words. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(/\s+/)) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line].map((each) => clip(each, width));
}

export interface Fact {
  readonly name: string;
  readonly value: string;
  /** Undefined: neither good nor bad. */
  readonly isGood?: boolean;
}

export function factLines(facts: readonly Fact[], width: number, { good, bad }: Palette): string[] {
  const longest = Math.max(...facts.map(({ name }) => name.length));
  return facts.map(({ name, value, isGood }) => {
    const shown = clip(value, width - longest - 2);
    return `${name.padEnd(longest)}  ${isGood === undefined ? shown : isGood ? good(shown) : bad(shown)}`;
  });
}
