import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const repositoryRoot = fileURLToPath(new URL("../../..", import.meta.url));

function bench(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", "bench/main.ts", ...args], {
    cwd: repositoryRoot,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}

const BENCHES = ["real", "faults", "cost", "metrics"];

describe("npm run bench", () => {
  test("says which benches there are when it does not know the one that is named", () => {
    const { status, stdout, stderr } = bench("reel", "--seconds", "5");
    expect(status).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain('there is no bench "reel"; there are:\n');
    for (const name of BENCHES) expect(stderr).toContain(`npm run bench -- ${name}`);
  });

  test.each([
    { args: ["--tasks", "none"], says: "--tasks: none is not a whole number above 0" },
    { args: ["metrics", "none"], says: "rounds must be a whole number above 0" },
  ])("leaves what follows to the bench: $args", ({ args, says }) => {
    const { status, stdout, stderr } = bench(...args);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toContain(`bench failed: ${says}\n`);
  });
});
