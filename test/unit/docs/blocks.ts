/** What is to be done with a code block. It stands in an HTML comment before the block. */
export type Directive =
  /** It is a program, and ends with exit code 0 by itself. */
  | { readonly kind: "run" }
  /** It is (or exports) a worker: a task of this type, with this input, ends with this output. */
  | { readonly kind: "serves"; readonly taskType: string; readonly input: unknown; readonly output: unknown }
  /** It is not run, for the reason that stands there; its commands exist. */
  | { readonly kind: "commands-only" }
  /** It is a step of the start in an empty folder, which start.test.ts takes: in the folder, or in one of two terminals. */
  | { readonly kind: "start"; readonly where: string };

export interface Block {
  readonly language: string;
  /** Of the first line of code, from 1. */
  readonly line: number;
  readonly code: string;
  /** The name other blocks import it by; else one that is made of its line. */
  readonly file: string;
  readonly directive: Directive | undefined;
}

const FENCE = /^```(\w*)$/;
const COMMENT = /^<!-- (.*) -->$/;
const SERVES = /^serves: (\S+) (.*) => (.*)$/;

/** The code blocks of a Markdown text, with what the comments before them say. */
export function blocksOf(markdown: string): Block[] {
  const lines = markdown.split("\n");
  const blocks: Block[] = [];
  let notes: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const comment = COMMENT.exec(lines[i]!);
    const fence = FENCE.exec(lines[i]!);
    if (comment) {
      notes = comment[1]!.split("; ");
    } else if (fence) {
      const end = lines.indexOf("```", i + 1);
      if (end < 0) throw new Error(`the block at line ${i + 1} has no end`);
      blocks.push(blockOf(fence[1]!, i + 2, lines.slice(i + 1, end).join("\n") + "\n", notes));
      notes = [];
      i = end;
    } else if (lines[i] !== "") {
      notes = [];
    }
  }
  return blocks;
}

function blockOf(language: string, line: number, code: string, notes: readonly string[]): Block {
  let file = `line-${line}.${code.includes("require(") ? "cjs" : language}`;
  let directive: Directive | undefined;
  for (const note of notes) {
    const serves = SERVES.exec(note);
    if (note.startsWith("file: ")) file = note.slice("file: ".length);
    else if (note === "run: exits by itself") directive = { kind: "run" };
    else if (note.startsWith("commands-only: ")) directive = { kind: "commands-only" };
    else if (note.startsWith("start: ")) directive = { kind: "start", where: note.slice("start: ".length) };
    else if (serves) {
      const [, taskType, input, output] = serves;
      directive = { kind: "serves", taskType: taskType!, input: JSON.parse(input!), output: JSON.parse(output!) };
    } else throw new Error(`line ${line}: nobody knows what to do with "${note}"`);
  }
  return { language, line, code, file, directive };
}
