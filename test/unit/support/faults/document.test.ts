import { describe, expect, test } from "vitest";
import {
  earlierOf,
  missingNumbers,
  renderDocument,
  roundedUp,
  sectionsOf,
  withSection,
} from "../../../support/faults/document.js";
import { fileOf, type FaultRow } from "../../../support/faults/rows.js";

const row = (fields: Partial<FaultRow> = {}): FaultRow => ({
  number: 1,
  group: "Connections",
  name: "half-open",
  happened: "it went on",
  recovery: { kind: "took", ms: 1_234 },
  boundMs: 2_300,
  tasks: 3,
  lost: 0,
  executedAgain: {},
  ...fields,
});

describe("the document of the faults", () => {
  test("rows are sorted by group and number, whatever order they come in", () => {
    const rows = [
      row({ number: 12, group: "Server", name: "away" }),
      row({ number: 2, name: "under a poll" }),
      row({ number: 11, name: "held polls", recovery: { kind: "nothingStopped" } }),
      row(),
    ];
    const text = renderDocument(rows);
    expect(renderDocument([...rows].reverse())).toBe(text);
    const order = [
      "## Connections",
      "| 1 | half-open",
      "| 2 | under a poll",
      "| 11 | held polls",
      "## Server",
      "| 12 | away",
    ];
    const places = order.map((words) => text.indexOf(words));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(text).toContain("never stopped");
  });

  test("two shapes of one fault name it once", () => {
    const text = renderDocument([row({ variant: "by FIN" }), row({ variant: "by RST" })]);
    expect(text.match(/\| half-open/g)).toHaveLength(1);
    expect(text).toContain("| 1 | half-open<br>– by FIN |");
    expect(text).toContain("|  | – by RST |");
  });

  test("a rerun that takes a little longer, or less, gives the same document", () => {
    const run = (ms: number, again: number) => [
      row({ recovery: { kind: "took", ms }, executedAgain: { "it had failed": again } }),
    ];
    const text = renderDocument(run(1_050, 3));
    expect(text).toContain("< 1.5 s (2.3 s)");
    expect(renderDocument(run(1_480, 5))).toBe(text);
    expect(renderDocument(run(90, 5), earlierOf(text))).toBe(text);
    expect(renderDocument(run(1_900, 5), earlierOf(text))).toContain("< 2 s (2.3 s)");
    expect([0.03, 0.4, 2.6, 7, 130].map(roundedUp)).toEqual([0.1, 0.5, 3, 8, 180]);
  });

  test("numbers without a row are named; one that was skipped has a row that says why", () => {
    expect(missingNumbers([])).toHaveLength(54);
    const rows = [row(), { number: 4, group: "Connections" as const, name: "dropped", skipped: "no namespaces here" }];
    expect(missingNumbers(rows)).not.toContain(4);
    expect(missingNumbers(rows)).toContain(5);
    expect(renderDocument(rows)).toContain("**not run**: no namespaces here");
  });

  test("sections of other programs stay when the tables are written again, and are replaced by their own program", () => {
    const first = withSection(renderDocument([row()]), "guards", "## Guards\n\none");
    expect(sectionsOf(first)).toEqual({ guards: "## Guards\n\none" });
    const again = renderDocument([row(), row({ number: 2, name: "under a poll" })], earlierOf(first));
    expect(again).toContain("under a poll");
    expect(sectionsOf(again)).toEqual(sectionsOf(first));
    const replaced = withSection(again, "guards", "## Guards\n\ntwo");
    expect(sectionsOf(replaced)).toEqual({ guards: "## Guards\n\ntwo" });
    expect(replaced.replace("two", "one")).toBe(again);
    expect(sectionsOf("")).toEqual({});
  });

  test("each shape has a file of its own", () => {
    expect(fileOf(row({ variant: "by FIN" }))).toBe("01-half-open-by-fin.json");
    expect(fileOf(row({ name: "{}", variant: "(null)" }))).toBe("01-null.json");
  });
});
