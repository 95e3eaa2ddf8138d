import { describe, expect, test } from "vitest";
import { shortened } from "../../../src/log/shorten.js";

const LONG = "x".repeat(2_000_000);
const short = (fields: object) => JSON.parse(shortened(JSON.stringify(fields))) as Record<string, string>;

describe("a log line that is too long", () => {
  test("keeps its short fields, and of the long ones the beginning, and says how long it was", () => {
    const fields = { level: 50, msg: "m", taskId: "t", text: LONG, list: [LONG], ok: true };
    const line = short(fields);
    expect(line).toMatchObject({ level: 50, msg: "m", taskId: "t", ok: true });
    expect(line.clippedFrom).toBe(JSON.stringify(fields).length);
    expect(line.text).toMatch(/^x+…$/);
    expect(line.list).toMatch(/^\["x+…$/);
    expect(JSON.stringify(line).length).toBeLessThan(40_000);
  });

  test("keeps the message of an error whose stack is long", () => {
    const line = short({ msg: "m", err: { type: "E", message: "bad", stack: LONG, data: { LONG } } });
    expect(line.err).toMatchObject({ type: "E", message: "bad", stack: expect.stringMatching(/^x+…$/) as string });
    expect(JSON.stringify(line).length).toBeLessThan(40_000);
  });

  test("is cut as it is where it is no JSON", () => {
    expect(shortened(`${LONG}\n`)).toMatch(/^x{15999}…\n$/);
  });
});
