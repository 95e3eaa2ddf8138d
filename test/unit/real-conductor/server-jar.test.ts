import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SERVER_VERSION, serverJar } from "../../support/real-conductor/server-jar.js";

let cache: string;
const steps: string[] = [];
const onProgress = (step: string) => void steps.push(step);

beforeEach(() => {
  cache = mkdtempSync(path.join(tmpdir(), "ostinato-jar-"));
  steps.length = 0;
});

afterEach(() => {
  rmSync(cache, { recursive: true, force: true });
});

test("the jar that is given wins", async () => {
  const given = path.join(cache, "mine.jar");
  writeFileSync(given, "");
  const env = { CONDUCTOR_SERVER_JAR: ` ${given} ` };
  expect(await serverJar({ env, onProgress, signal: undefined, cache })).toBe(given);
});

test("one that is given and not there is an error, not a reason to fetch", async () => {
  const env = { CONDUCTOR_SERVER_JAR: path.join(cache, "none.jar") };
  await expect(serverJar({ env, onProgress, signal: undefined, cache })).rejects.toThrow(/there is no such file/);
});

test("what was fetched once is not fetched again", async () => {
  const cached = path.join(cache, `conductor-server-${SERVER_VERSION}-boot.jar`);
  writeFileSync(cached, "");
  expect(await serverJar({ env: {}, onProgress, signal: undefined, cache })).toBe(cached);
  expect(steps).toEqual([]);
});
