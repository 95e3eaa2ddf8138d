import { describe, expect, test } from "vitest";
import { prettyLine } from "../../../src/log/pretty.js";

const TIME = new Date(2026, 0, 2, 15, 4, 5, 7).getTime();
const line = (fields: object) =>
  JSON.stringify({ level: 30, time: TIME, pid: 1, hostname: "h", name: "ostinato", ...fields });
const pretty = (fields: object, hasColours = false) => prettyLine(line(fields), hasColours);
const ESC = "\u001b";

describe("the pretty logger", () => {
  describe("a line for people", () => {
    test.each([
      [{ msg: "hello" }, "15:04:05.007 INFO  hello"],
      [
        { msg: "hello", taskType: "greet", attempt: 2, ok: true, none: null },
        "15:04:05.007 INFO  hello taskType=greet attempt=2 ok=true none=null",
      ],
      [{ level: 10, msg: "m" }, "15:04:05.007 TRACE m"],
      [{ level: 20, msg: "m" }, "15:04:05.007 DEBUG m"],
      [{ level: 40, msg: "m" }, "15:04:05.007 WARN  m"],
      [{ level: 50, msg: "m" }, "15:04:05.007 ERROR m"],
      [{ level: 60, msg: "m" }, "15:04:05.007 FATAL m"],
      [{ level: 35, msg: "m" }, "15:04:05.007 35    m"],
      [{ level: "info", msg: "m" }, "15:04:05.007 0     m"],
      [{ time: "2026-01-02", msg: "m" }, "--:--:--.--- INFO  m"],
      [{}, "15:04:05.007 INFO "],
      [{ msg: 5, a: 1 }, "15:04:05.007 INFO  a=1"],
      [{ msg: "m", a: "two words" }, '15:04:05.007 INFO  m a="two words"'],
      [{ msg: "m", a: 'say "hi"' }, '15:04:05.007 INFO  m a="say \\"hi\\""'],
      [{ msg: "m", a: "" }, '15:04:05.007 INFO  m a=""'],
      [{ msg: "m", a: "x=y" }, '15:04:05.007 INFO  m a="x=y"'],
      [{ msg: "m", a: { b: [1, "c"] } }, '15:04:05.007 INFO  m a={"b":[1,"c"]}'],
      [{ msg: "m", name: "mine" }, "15:04:05.007 INFO  m name=mine"],
    ])("%j", (fields, expected) => {
      expect(pretty(fields)).toBe(`${expected}\n`);
    });

    test("shows an error's stack indented below, and what else it carries", () => {
      const err = {
        type: "TypeError",
        message: "bad",
        stack: "TypeError: bad\n    at f (a.js:1:2)",
        code: "X",
        status: 503,
      };
      expect(pretty({ level: 50, msg: "failed", taskId: "t", err })).toBe(
        "15:04:05.007 ERROR failed taskId=t\n" +
          "    TypeError: bad\n" +
          "        at f (a.js:1:2)\n" +
          "    code=X status=503\n",
      );
    });

    test.each([
      [{ type: "Error", message: "no stack" }, "    Error: no stack\n"],
      ["a string", "    a string\n"],
      [5, "    5\n"],
      [null, "    null\n"],
      [["a"], '    ["a"]\n'],
    ])("shows %j as an error", (err, expected) => {
      expect(pretty({ msg: "m", err })).toBe(`15:04:05.007 INFO  m\n${expected}`);
    });

    test.each([
      ["a message", (text: string) => ({ msg: text })],
      ["a value", (text: string) => ({ msg: "m", a: text })],
      ["a key", (text: string) => ({ msg: "m", [text]: 1 })],
      ["a nested value", (text: string) => ({ msg: "m", a: { b: text } })],
      ["an error's field", (text: string) => ({ msg: "m", err: { stack: "Error", code: text } })],
      ["an error's type", (text: string) => ({ msg: "m", err: { type: text, message: "x" } })],
    ])("%s can neither forge a line nor command the terminal", (_, fieldsWith) => {
      const nasty = `a\u001b[2J\u0007\u007f\u009b31m\u2028\u2029\u202e\u2066\r\tb`;
      for (const hasColours of [false, true]) {
        const shown = pretty(fieldsWith(nasty), hasColours).replaceAll(/\u001b\[\d+(;\d+)?m/g, "");
        expect(shown.slice(0, -1).replaceAll("\n    ", "")).not.toMatch(/[\p{Cc}\u2028\u2029\u202e\u2066]/u);
        expect(shown).toContain("u001b[2J");
      }
      const forged = pretty(fieldsWith("a\n15:04:05.007 ERROR forged"));
      expect(forged.split("\n").filter((each) => each.startsWith("15:04"))).toHaveLength(1);
    });

    test("keeps a stack's lines below the line, whatever the message has in it", () => {
      const err = { type: "Error", message: "x", stack: `Error: a\n15:04:05.007 INFO forged\n${ESC}[31mred` };
      expect(pretty({ msg: "m", err })).toBe(
        "15:04:05.007 INFO  m\n    Error: a\n    15:04:05.007 INFO forged\n    \\u001b[31mred\n",
      );
    });

    test("keeps letters, accents and emojis as they are", () => {
      expect(pretty({ msg: "naïve 日本語 👩‍👩‍👧", who: "Zoë" })).toBe("15:04:05.007 INFO  naïve 日本語 👩‍👩‍👧 who=Zoë\n");
    });

    test("cuts what is long, and says how long it was", () => {
      const shown = pretty({ msg: "m", a: "x".repeat(5_000), b: { c: "y".repeat(5_000) } });
      expect(shown).toContain(`a="${"x".repeat(200)}…(5000 characters)"`);
      expect(shown.length).toBeLessThan(600);
      expect(pretty({ msg: "z".repeat(1e6) }).length).toBeLessThan(2_100);
      const stack = Array.from({ length: 5_000 }, () => "q".repeat(5_000)).join("\n");
      const lines = pretty({ msg: "m", err: { stack } }).trimEnd().split("\n");
      expect(lines).toHaveLength(52);
      expect(lines.at(-1)).toBe("    …4950 more lines");
      expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(540);
      const many = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, i]));
      expect(pretty({ msg: "m", ...many })).toMatch(/k39=39 …60 more\n$/);
    });

    test("has colours only when it is told to", () => {
      expect(pretty({ level: 40, msg: "m", a: 1 }, true)).toBe(
        `${ESC}[90m15:04:05.007${ESC}[0m ${ESC}[33mWARN ${ESC}[0m m ${ESC}[90ma=1${ESC}[0m\n`,
      );
      expect(pretty({ level: 40, msg: "m", a: 1, err: { stack: "s" } })).not.toContain(ESC);
    });

    test.each([
      ["no JSON", "oops \u001b[2J\nforged", "oops \\u001b[2J\\nforged\n"],
      ["not an object", "[1]\n", "[1]\n"],
      ["null", "null", "null\n"],
      ["nothing", "", "\n"],
    ])("shows %s as one line", (_, json, expected) => {
      expect(prettyLine(json, false)).toBe(expected);
    });

    test("survives what is nested too deep to be written again", () => {
      const deep = `{"level":30,"time":${TIME},"msg":"m","a":${"[".repeat(50_000)}${"]".repeat(50_000)}}`;
      expect(() => prettyLine(deep, false)).not.toThrow();
    });
  });
});
