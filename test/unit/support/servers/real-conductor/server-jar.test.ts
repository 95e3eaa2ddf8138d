import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SERVER_VERSION, serverJar } from "../../../../support/servers/real-conductor/server-jar.js";

let cache: string;
const steps: string[] = [];
const onProgress = (step: string) => void steps.push(step);

describe("the jar of the real server", () => {
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

  /** A Maven of ours, first on the PATH. */
  function maven(script: string): NodeJS.ProcessEnv {
    writeFileSync(path.join(cache, "mvn"), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return { PATH: cache };
  }

  test("what Maven fetches is cached once it is whole", async () => {
    const env = maven(`
    for argument; do case $argument in -DoutputDirectory=*) folder=\${argument#*=};; esac; done
    echo "$@" >"$folder/conductor-server-${SERVER_VERSION}-boot.jar"
  `);
    const jar = await serverJar({ env, onProgress, signal: undefined, cache });
    expect(readFileSync(jar, "utf8")).toMatch(
      new RegExp(`^-B dependency:copy -Dartifact=org.conductoross:conductor-server:${SERVER_VERSION}:jar:boot `),
    );
    expect(steps).toEqual([expect.stringMatching(/^fetching org\.conductoross:conductor-server:.*once/)]);
    expect(readdirSync(cache).toSorted()).toEqual([path.basename(jar), "mvn"]);
  });

  test("when Maven fails, its last words are shown and nothing is left", async () => {
    const env = maven("echo '[ERROR] no route'; exit 1");
    await expect(serverJar({ env, onProgress, signal: undefined, cache })).rejects.toThrow(
      /Maven could not fetch .*\(exit code 1\)\. It said last:\n\[ERROR\] no route/,
    );
    expect(readdirSync(cache)).toEqual(["mvn"]);
  });

  test("fetching can be given up", async () => {
    const stop = new AbortController();
    const fetching = serverJar({ env: maven("exec sleep 600"), onProgress, signal: stop.signal, cache });
    stop.abort(new Error("no more"));
    await expect(fetching).rejects.toThrow("no more");
    expect(readdirSync(cache)).toEqual(["mvn"]);
  });
});
