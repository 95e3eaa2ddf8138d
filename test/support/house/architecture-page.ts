import type { Floors } from "./floors.js";

/** The rooms of each floor as the page's picture shows them, from the top. */
export function drawnFloors(page: string): Floors {
  const picture = diagram(page, "block-beta");
  return [...picture.matchAll(/^ {2}block:\w+\n([\s\S]*?)^ {2}end$/gm)].map(([, rooms = ""]) =>
    rooms.trim().split(/\s+/),
  );
}

/** The rooms that the table of rooms tells about, in its order. */
export function describedRooms(page: string): string[] {
  const section = /^## The rooms\n([\s\S]*?)^## /m.exec(page)?.[1] ?? "";
  return [...section.matchAll(/^\| `(\w+)` \|/gm)].map(([, room = ""]) => room);
}

/** The states and doors of a task in the page's diagram. */
export function drawnStates(page: string): Set<string> {
  const picture = diagram(page, "stateDiagram-v2");
  const ends = [...picture.matchAll(/^ *(\S+) --> (\w+):/gm)].flatMap(([, from = "", to = ""]) => [from, to]);
  return new Set(ends.filter((name) => name !== "[*]"));
}

/** A file that the page names, with the words in code style right behind it: constants and functions in that file. */
export interface NamedFile {
  readonly file: string;
  readonly words: readonly string[];
}

export function namedFiles(page: string): NamedFile[] {
  return [...page.matchAll(/`([\w./-]+\.ts)`((?:,? `\w+`)*)/g)].map(([, file = "", rest = ""]) => ({
    file,
    words: [...rest.matchAll(/`(\w+)`/g)].map(([, word = ""]) => word),
  }));
}

function diagram(page: string, kind: string): string {
  const [, text] = new RegExp(`^\`\`\`mermaid\\n${kind}\\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page) ?? [];
  if (text === undefined) throw new Error(`the page has no diagram of the kind ${kind}`);
  return text;
}
