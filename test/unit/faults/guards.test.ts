import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { GUARDS, placesOf } from "../../faults/guards/guards.js";

const root = new URL("../../../", import.meta.url);

describe("the list of guards", () => {
  test("every guard is where the list says, and the fault that must catch it exists", () => {
    for (const guard of GUARDS) {
      const text = readFileSync(new URL(`src/${guard.file}`, root), "utf8");
      expect(placesOf(guard, text), `places of: ${guard.name} (src/${guard.file})`).toBe(1);
      expect(existsSync(new URL(`test/faults/${guard.test}`, root)), guard.test).toBe(true);
    }
  });
});
