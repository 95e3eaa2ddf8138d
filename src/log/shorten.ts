import { clip } from "../base/clip.js";

/** Of one field of a line that is too long. */
const MAX_FIELD_CHARACTERS = 16_000;

/**
 * A line of JSON that is too long to be of use, with its long fields cut: a text is clipped, anything else becomes the
 * beginning of its JSON. `clippedFrom` says how long it was, in characters. What is no JSON is clipped as it is.
 */
export function shortened(line: string): string {
  try {
    const fields = JSON.parse(line) as object;
    return `${JSON.stringify({ ...shortFields(fields, MAX_FIELD_CHARACTERS), clippedFrom: line.length })}\n`;
  } catch {
    return `${clip(line.trimEnd(), MAX_FIELD_CHARACTERS)}\n`;
  }
}

/** The fields of a line, each cut to so many characters. Of an error each of its own: its message stays readable. */
export function shortFields(fields: object, maxCharacters: number): object {
  const short = Object.entries(fields).map(([key, value]: [string, unknown]) => {
    const isError = key === "err" && typeof value === "object" && value !== null && !(value instanceof Error);
    return [key, isError ? shortFields(value, maxCharacters) : shortValue(value, maxCharacters)];
  });
  return Object.fromEntries(short) as object;
}

function shortValue(value: unknown, maxCharacters: number): unknown {
  // An error is serialised by the logger.
  if (value instanceof Error || value === undefined) return value;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= maxCharacters ? value : clip(text, maxCharacters);
}
