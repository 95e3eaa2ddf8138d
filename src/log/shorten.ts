import { clip } from "../base/clip.js";

/** Of one field of a line that is too long. */
const MAX_FIELD_CHARACTERS = 16_000;

/**
 * A line of JSON that is too long to be of use, with its long fields cut: a text is clipped, anything else becomes the
 * beginning of its JSON. `clippedFrom` says how long it was, in characters. What is no JSON is clipped as it is.
 */
export function shortened(line: string): string {
  try {
    const fields = JSON.parse(line) as Record<string, unknown>;
    const short = Object.entries(fields).map(([key, value]) => [
      key,
      key === "err" ? shortError(value) : shortValue(value),
    ]);
    return `${JSON.stringify({ ...Object.fromEntries(short), clippedFrom: line.length })}\n`;
  } catch {
    return `${clip(line.trimEnd(), MAX_FIELD_CHARACTERS)}\n`;
  }
}

function shortValue(value: unknown): unknown {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length <= MAX_FIELD_CHARACTERS ? value : clip(text, MAX_FIELD_CHARACTERS);
}

/** Its message is not to be cut off because its stack, or what else it carries, is long. */
function shortError(err: unknown): unknown {
  if (typeof err !== "object" || err === null) return shortValue(err);
  return Object.fromEntries(Object.entries(err).map(([key, value]) => [key, shortValue(value)]));
}
