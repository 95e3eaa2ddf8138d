import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bodyOf,
  decodeLine,
  decodeMeta,
  encodeHeader,
  encodeLine,
  encodeResult,
  encodeSettled,
  MAX_LINE_BYTES,
  type ResultMeta,
} from "../../../../src/runner/journal/format.js";
import { JournalScan, scan } from "../../../../src/runner/journal/scan.js";
import { headerOf, journalBytes, liveTasks, metaOf, scanBytes } from "../../../support/unit/journal.js";

const output = fc.jsonValue({ maxDepth: 1, noUnicodeString: false });
const operation = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("put" as const), output, taskId: fc.string({ unit: "binary" }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("settle" as const), n: fc.integer({ min: 1, max: 12 }) }) },
);

/** A file as a sequence of lines, and what has to be found after each of them. */
function play(operations: readonly fc.Arbitrary<never>[] | readonly unknown[]) {
  const lines = [encodeHeader(headerOf())];
  const live = new Map<number, { taskId: string; body: string }>();
  const states = [new Map(live)];
  let n = 0;
  for (const each of operations as { kind: "put" | "settle"; output?: unknown; taskId?: string; n?: number }[]) {
    if (each.kind === "put") {
      n += 1;
      const taskId = each.taskId ?? "";
      const body = JSON.stringify({ taskId, outputData: each.output });
      lines.push(resultLine(metaOf(n, taskId), body));
      live.set(n, { taskId, body });
    } else {
      lines.push(encodeSettled(each.n ?? 0));
      live.delete(each.n ?? 0);
    }
    states.push(new Map(live));
  }
  return { lines, states };
}

function resultLine(meta: ResultMeta, body: string): Buffer {
  return encodeResult(meta, Buffer.from(body));
}

function found(bytes: Buffer) {
  const { live } = scanBytes(bytes);
  const results = new Map<number, { taskId: string; body: string }>();
  for (const [n, { meta, offset, length }] of live) {
    const decoded = decodeLine(bytes.subarray(offset, offset + length));
    results.set(n, { taskId: meta.taskId, body: String(bodyOf(decoded!.payload)) });
  }
  return results;
}

describe("the format of a journal", () => {
  describe("a journal", () => {
    test("is read as it was written, each body to the byte", () => {
      fc.assert(
        fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
          const { lines, states } = play(operations);
          expect(found(Buffer.concat(lines))).toEqual(states.at(-1));
        }),
      );
    });

    test("cut off at any byte gives every result that was written whole before the cut, and nothing else", () => {
      fc.assert(
        fc.property(fc.array(operation, { minLength: 1, maxLength: 4 }), (operations) => {
          const { lines, states } = play(operations);
          const bytes = Buffer.concat(lines);
          const ends: number[] = [];
          for (const line of lines) ends.push((ends.at(-1) ?? 0) + line.length);
          for (let cut = 0; cut <= bytes.length; cut += 1) {
            // A line is whole also without its line break.
            const whole = ends.filter((end) => end - 1 <= cut).length;
            expect(found(bytes.subarray(0, cut)), `cut at ${cut}`).toEqual(whole === 0 ? new Map() : states[whole - 1]);
          }
        }),
        { numRuns: 8 },
      );
    });

    test("with damage in it gives every result whose own line is whole, and invents nothing", () => {
      const damage = fc.record({ at: fc.nat(), bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) });
      fc.assert(
        fc.property(
          fc.array(fc.json(), { minLength: 1, maxLength: 8 }),
          fc.array(damage, { minLength: 1, maxLength: 3 }),
          (bodies, damages) => {
            const lines = [encodeHeader(headerOf()), ...bodies.map((body, i) => resultLine(metaOf(i + 1), body))];
            const original = Buffer.concat(lines);
            const bytes = Buffer.from(original);
            for (const { at, bytes: wrong } of damages) Buffer.from(wrong).copy(bytes, at % bytes.length);
            const results = found(bytes);
            let offset = lines[0]!.length;
            for (const [i, body] of bodies.entries()) {
              const end = offset + lines[i + 1]!.length;
              // A break that was lost before or after it takes the line with it.
              const isWhole = original.subarray(offset - 1, end).equals(bytes.subarray(offset - 1, end));
              if (isWhole) expect(results.get(i + 1)).toEqual({ taskId: `task-${i + 1}`, body });
              offset = end;
            }
            for (const [n, { body }] of results) expect(body).toBe(bodies[n - 1]);
          },
        ),
        { numRuns: 500 },
      );
    });

    test("tells how many lines are damaged", () => {
      const bytes = journalBytes(headerOf(), 3);
      const second = bytes.indexOf("task-2");
      bytes[second] = 0x58;
      expect(scanBytes(bytes)).toMatchObject({ damagedLines: 1 });
      expect(liveTasks(bytes)).toEqual(["task-1", "task-3"]);
      expect(scanBytes(bytes.subarray(0, -1)).damagedLines).toBe(1);
      expect(scanBytes(bytes.subarray(0, -2)).damagedLines).toBe(2);
    });

    test("with results larger than what is read at once", () => {
      const big = JSON.stringify({ text: "ä".repeat(700_000) });
      const bytes = Buffer.concat([encodeHeader(headerOf()), resultLine(metaOf(1), big), resultLine(metaOf(2), "{}")]);
      expect([...found(bytes).values()].map(({ body }) => body)).toEqual([big, "{}"]);
    });

    test("in slices of any size, and again after more was written, gives what it gives at once", () => {
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: 1, max: 400_000 }), { minLength: 1, maxLength: 12 }),
          fc.array(fc.nat(), { maxLength: 3 }),
          (slices, cuts) => {
            const body = Buffer.from(JSON.stringify({ text: "x".repeat(150_000) }));
            const results = Array.from({ length: 6 }, (_, i) => encodeResult(metaOf(i + 1), body));
            const bytes = Buffer.concat([encodeHeader(headerOf()), ...results, encodeSettled(2), encodeSettled(5)]);
            // Its owner goes on writing while it is read, and may be in the middle of a line.
            const ends = [...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
            let end = 0;
            const reading = new JournalScan((buffer, position) =>
              position >= end ? 0 : bytes.copy(buffer, 0, position, Math.min(end, position + buffer.length)),
            );
            let turn = 0;
            for (end of ends) while (reading.readOn(slices[turn++ % slices.length]!) === "more");
            expect([...reading.live.keys()]).toEqual([1, 3, 4, 6]);
            expect(reading.damagedLines).toBe(0);
            expect(reading.header?.workerIds).toEqual(["old"]);
          },
        ),
        { numRuns: 50 },
      );
    });

    test("of very many results gives them a part at a time", () => {
      const RESULTS = 150_000;
      const lines = [encodeHeader(headerOf())];
      for (let n = 1; n <= RESULTS; n += 1) lines.push(encodeResult(metaOf(n), Buffer.from("{}")));
      const bytes = Buffer.concat(lines);
      const reading = new JournalScan((buffer, position) => bytes.copy(buffer, 0, position, position + buffer.length));
      const parts: number[] = [];
      for (let state = ""; state !== "end";) {
        state = reading.readOn(Infinity);
        parts.push(reading.live.size);
        reading.live.clear();
      }
      expect(parts.length).toBeGreaterThan(1);
      expect(parts.reduce((sum, part) => sum + part, 0)).toBe(RESULTS);
      expect(Math.max(...parts)).toBeLessThan(110_000);
    });

    test("with a line longer than there are: what comes after it is found", () => {
      const tail = Buffer.concat([Buffer.from("\n"), resultLine(metaOf(1), "{}")]);
      const total = MAX_LINE_BYTES + 10;
      const result = scan((buffer, position) => {
        if (position >= total) return tail.copy(buffer, 0, position - total);
        return (
          buffer.fill(0x78, 0, Math.min(buffer.length, total - position)) && Math.min(buffer.length, total - position)
        );
      });
      expect(result).toMatchObject({ damagedLines: 1 });
      expect([...result.live.keys()]).toEqual([1]);
    });
  });

  test("a result's line has what it belongs to, and the body verbatim", () => {
    const line = resultLine(metaOf(7), `{"a":"tab\\tbreak\\n"}`);
    expect(line.toString()).toMatch(/^p \d+ [0-9a-f]{8} \{"n":7,.*\}\t\{"a":"tab\\tbreak\\n"\}\n$/);
    expect(decodeMeta(decodeLine(line.subarray(0, -1))!.payload)).toEqual(metaOf(7));
  });

  test.each([
    ["another kind", "x 0 00000000 "],
    ["no length", "p"],
    ["a wrong length", encodeLine("s", "12").toString().trimEnd().replace("s 2", "s 3")],
    [
      "a wrong sum",
      encodeLine("s", "12")
        .toString()
        .trimEnd()
        .replace(/ [0-9a-f]{8} /, " 00000000 "),
    ],
    ["another kind's sum", encodeLine("s", "12").toString().trimEnd().replace("s", "p")],
  ])("a line with %s is none", (_what, line) => {
    expect(decodeLine(Buffer.from(line))).toBeUndefined();
  });
});
