import { Buffer } from "node:buffer";

/** At most that many characters (UTF-16 units): what is missing at the end is marked, and no surrogate pair is halved. */
export function clip(text: string, maxCharacters: number): string {
  return text.length <= maxCharacters ? text : detached(`${text.slice(0, wholeUntil(text, maxCharacters - 1))}…`);
}

/** The same for a text whose end says as much as its beginning, as a stack's does: what is missing is in the middle. */
export function clipMiddle(text: string, maxCharacters: number): string {
  if (text.length <= maxCharacters) return text;
  const half = Math.floor((maxCharacters - 1) / 2);
  const end = text.slice(-half);
  return detached(`${text.slice(0, wholeUntil(text, half))}…${isLow(end.charCodeAt(0)) ? end.slice(1) : end}`);
}

/** Where to cut, at `end` or one before it. */
function wholeUntil(text: string, end: number): number {
  return isHigh(text.charCodeAt(end - 1)) && isLow(text.charCodeAt(end)) ? end - 1 : end;
}

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit < 0xe000;

/** A copy: to V8 a part of a string is a view of it, and keeps all of it in memory. */
function detached(text: string): string {
  return Buffer.from(text, "utf16le").toString("utf16le");
}
