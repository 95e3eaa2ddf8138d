/** A value of a line, a message and a line of a stack are cut at so many characters. */
const MAX_VALUE = 200;
const MAX_MESSAGE = 2_000;
const MAX_STACK_LINE = 500;
const MAX_STACK_LINES = 50;
const MAX_FIELDS = 40;

const LEVELS: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};
const LEVEL_WIDTH = 5;
/** SGR codes: grey, cyan, green, yellow, red, white on red. */
const COLOURS: Readonly<Record<number, string>> = { 10: "90", 20: "36", 30: "32", 40: "33", 50: "31", 60: "41;97" };
const GREY = "90";

/** Fields that are shown in another way, or are the same on every line. */
const HIDDEN: ReadonlySet<string> = new Set(["level", "time", "pid", "hostname", "msg", "err"]);

/** What a terminal obeys instead of showing it (C0, C1, DEL), what breaks lines, and what turns the writing direction. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;
const PLAIN = /^[^\s"=]+$/;

/**
 * One of pino's JSON lines, for people: `15:04:05.123 INFO  message key=value …`, in local time; the stack of `err`
 * indented below. Long values are cut, and control characters are shown as escapes, so that what a task brings can
 * neither forge lines nor command the terminal. Never throws: what is no such line comes back escaped, as one line.
 */
export function prettyLine(json: string, hasColours: boolean): string {
  try {
    const line: unknown = JSON.parse(json);
    if (isRecord(line)) return prettyRecord(line, hasColours);
  } catch {
    // Not one of pino's, or of a depth that nobody can walk.
  }
  return `${shown(json.trimEnd(), MAX_MESSAGE)}\n`;
}

function prettyRecord(line: Record<string, unknown>, hasColours: boolean): string {
  const paint = (code: string | undefined, text: string) =>
    hasColours && code !== undefined && text !== "" ? `\u001b[${code}m${text}\u001b[0m` : text;
  const level = typeof line.level === "number" ? line.level : 0;
  const head = [
    paint(GREY, timeOfDay(line.time)),
    paint(COLOURS[level], (LEVELS[level] ?? String(level)).padEnd(LEVEL_WIDTH)),
    shown(typeof line.msg === "string" ? line.msg : "", MAX_MESSAGE),
    paint(GREY, fieldsOf(line)),
  ];
  const { err } = line;
  return `${head.filter((part) => part !== "").join(" ")}\n${err === undefined ? "" : paint(GREY, errorOf(err))}`;
}

function fieldsOf(line: Record<string, unknown>): string {
  const shownFields = Object.entries(line).filter(
    ([key, value]) => !HIDDEN.has(key) && !(key === "name" && value === "ostinato"),
  );
  const pairs = shownFields.slice(0, MAX_FIELDS).map(([key, value]) => pair(key, value));
  const more = shownFields.length - MAX_FIELDS;
  return (more > 0 ? [...pairs, `…${more} more`] : pairs).join(" ");
}

function pair(key: string, value: unknown): string {
  const name = shown(key, MAX_VALUE);
  if (typeof value !== "string") return `${name}=${shown(JSON.stringify(value), MAX_VALUE)}`;
  const text = shown(value, MAX_VALUE);
  // Quotes inside are escaped; backslashes are not, since what was escaped above has some.
  return `${name}=${PLAIN.test(text) ? text : `"${text.replaceAll('"', '\\"')}"`}`;
}

/** The stack, and below it what else the error carries. */
function errorOf(err: unknown): string {
  if (!isRecord(err)) return `    ${shown(typeof err === "string" ? err : JSON.stringify(err), MAX_MESSAGE)}\n`;
  const { stack, type, message, ...rest } = err;
  const text = typeof stack === "string" && stack !== "" ? stack : `${textOf(type)}: ${textOf(message)}`;
  const all = text.split("\n");
  const lines = all.slice(0, MAX_STACK_LINES).map((each) => shown(each, MAX_STACK_LINE));
  if (all.length > MAX_STACK_LINES) lines.push(`…${all.length - MAX_STACK_LINES} more lines`);
  const more = fieldsOf(rest);
  if (more !== "") lines.push(more);
  return lines.map((each) => `    ${each}\n`).join("");
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Cut and then escaped, so that a long text costs no more than a short one. */
function shown(text: string, max: number): string {
  const cut = text.length > max ? `${text.slice(0, max)}…(${text.length} characters)` : text;
  return cut.replace(CONTROL, escape);
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escape(character: string): string {
  return SHORT_ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function timeOfDay(time: unknown): string {
  const date = new Date(typeof time === "number" ? time : Number.NaN);
  if (Number.isNaN(date.getTime())) return "--:--:--.---";
  const two = (value: number) => String(value).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
