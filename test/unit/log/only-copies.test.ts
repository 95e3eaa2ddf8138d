import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";

const TIMEOUT_MS = 60_000;
const isLinux = process.platform === "linux";
if (!isLinux) console.warn("NOT RUN: only copies in the log before a full pipe need Linux");

const folders: string[] = [];

function folder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), "ostinato-only-"));
  folders.push(dir);
  return dir;
}

/** Logs `count` only copies of `kb` kB each, of results that hold `more`; what they become is in the folder. */
async function log(
  { count, kb, more = {}, format = "json" }: { count: number; kb: number; more?: object; format?: string },
  redirect: (dir: string) => string,
  rest = "",
) {
  const dir = folder();
  const script = `
    import { createDefaultLogger } from "./src/log/default-logger.ts";
    import { logOnlyCopy, safeLogger } from "./src/log/logger.ts";
    const log = safeLogger(await createDefaultLogger("info", ${JSON.stringify(format)}, ${JSON.stringify(dir)}));
    for (let i = 0; i < ${count}; i++) {
      const result = { outputData: { precious: "x".repeat(${kb * 1000}), ...${JSON.stringify(more)} } };
      logOnlyCopy(log, { taskId: "t" + i, result }, "gone");
    }
    ${rest}
  `;
  const run = `( "$0" --import tsx --input-type=module -e "$1"; code=$?; touch ${dir}/ended; exit $code )`;
  const shell = `set -o pipefail; ${run} ${redirect(dir)}`;
  const { stderr } = await promisify(execFile)("/bin/bash", ["-c", shell, process.execPath, script]);
  const read = (name: string) =>
    readFileSync(path.join(dir, name), "utf8")
      .split("\n")
      .filter((line) => line !== "");
  const rescued = readdirSync(dir).filter((name) => name.startsWith("ostinato-undelivered-"));
  return {
    stderr,
    log: read("log"),
    rescued: rescued.flatMap(read),
    files: rescued.map((name) => path.join(dir, name)),
  };
}

interface Line {
  readonly level?: number;
  readonly msg: string;
  readonly taskId?: string;
  readonly file?: string;
  readonly result?: { readonly outputData?: { readonly precious: string; readonly token?: string } };
}

const parsed = (lines: readonly string[]) => lines.map((line) => JSON.parse(line) as Line);
/** The tasks whose result is there whole. */
const whole = (lines: readonly string[], kb: number) =>
  parsed(lines)
    .filter(({ result }) => result?.outputData?.precious.length === kb * 1000)
    .map(({ taskId }) => taskId);
const names = (count: number) => Array.from({ length: count }, (_, i) => `t${i}`);
const ENDS_WITH = /^gone; this line is all that is left of it$/;

describe.runIf(isLinux).concurrent("only copies in the default logger", { timeout: TIMEOUT_MS }, () => {
  afterAll(() => {
    for (const dir of folders) rmSync(dir, { recursive: true, force: true });
  });

  test("are lines, however long, in a file", async () => {
    const { log: lines, rescued } = await log({ count: 3, kb: 3_000 }, (dir) => `>${dir}/log`);
    expect(whole(lines, 3_000)).toEqual(names(3));
    for (const { level, msg } of parsed(lines))
      expect({ level, msg }).toEqual({ level: 50, msg: expect.stringMatching(ENDS_WITH) as string });
    expect(rescued).toEqual([]);
  });

  test("are lines, all of them, in a pipe that is read, though it holds but one of them", async () => {
    const { log: lines, rescued } = await log({ count: 300, kb: 50 }, (dir) => `| cat >${dir}/log`);
    expect(whole(lines, 50)).toEqual(names(300));
    expect(rescued).toEqual([]);
  });

  test("are lines in a pipe whose reader is slow to begin, while the process lives", async () => {
    const { log: lines, rescued } = await log(
      { count: 20, kb: 50 },
      (dir) => `| { sleep 2; cat >${dir}/log; }`,
      "setTimeout(() => {}, 4_000);",
    );
    expect(whole(lines, 50)).toEqual(names(20));
    expect(rescued).toEqual([]);
  });

  test("are in the file where nobody reads at the end of the process, and stderr names it", async () => {
    const {
      log: lines,
      rescued,
      files,
      stderr,
    } = await log(
      { count: 300, kb: 50 },
      (dir) => `| { until [ -e ${dir}/ended ]; do sleep 0.1; done; head -n 1 >${dir}/log; }`,
    );
    expect(files).toHaveLength(1);
    // The pipe held the first of them.
    expect([...whole(lines, 50), ...whole(rescued, 50)]).toEqual(names(300));
    expect(stderr).toBe(`ostinato: undelivered results are kept in ${files[0]!}\n`);
  });

  test("are in the file where stdout is full", async () => {
    const { rescued } = await log({ count: 3, kb: 5 }, (dir) => `>/dev/full; : >${dir}/log`);
    expect(whole(rescued, 5)).toEqual(names(3));
  });

  test("show no secret in the log, which names the file that has it", async () => {
    const {
      log: lines,
      rescued,
      files,
    } = await log({ count: 2, kb: 1, more: { token: "hush" } }, (dir) => `>${dir}/log`);
    expect(lines.join("")).not.toContain("hush");
    for (const { msg, file, result } of parsed(lines)) {
      expect({ msg, file }).toEqual({ msg: "gone; the file has it whole", file: files[0] });
      expect(result?.outputData?.token).toBe("[Redacted]");
    }
    expect(parsed(rescued).map(({ taskId, result }) => [taskId, result?.outputData?.token])).toEqual([
      ["t0", "hush"],
      ["t1", "hush"],
    ]);
  });

  test("are cut for people, and the line names the file that has them whole", async () => {
    const { log: lines, rescued, files } = await log({ count: 1, kb: 10, format: "pretty" }, (dir) => `>${dir}/log`);
    expect(lines[0]).toContain("gone; the file has it whole taskId=t0");
    expect(lines[0]).toContain(`file=${files[0]!}`);
    expect(lines[0]!.length).toBeLessThan(1_000);
    expect(whole(rescued, 10)).toEqual(["t0"]);
  });

  test("are in files where processes of a cluster have one pipe, and no line is mixed with another's", async () => {
    const dir = folder();
    const file = path.join(dir, "cluster.mts");
    const from = (module: string) => JSON.stringify(path.resolve("src/log", module));
    const script = `
      import cluster from "node:cluster";
      import { createDefaultLogger } from ${from("default-logger.ts")};
      import { logOnlyCopy } from ${from("logger.ts")};
      if (cluster.isPrimary) for (const _ of "123") cluster.fork();
      else {
        const log = await createDefaultLogger("info", "json", ${JSON.stringify(dir)});
        for (let i = 0; i < 100; i++) {
          const precious = "x".repeat(i % 2 === 0 ? 50_000 : 1_000);
          logOnlyCopy(log, { taskId: cluster.worker.id + "-" + i, result: { outputData: { precious } } }, "gone");
        }
        process.disconnect();
      }
    `;
    writeFileSync(file, script);
    const shell = `"$0" --import ${import.meta.resolve("tsx")} "$1" | cat >${dir}/log`;
    await promisify(execFile)("/bin/bash", ["-c", shell, process.execPath, file]);
    const read = (name: string) => readFileSync(path.join(dir, name), "utf8").trimEnd().split("\n");
    const kept = readdirSync(dir).filter((name) => name.endsWith(".jsonl"));
    expect(kept).toHaveLength(3);
    expect(whole(kept.flatMap(read), 50)).toHaveLength(150);
    expect(parsed(read("log"))).toHaveLength(300);
    expect(whole(read("log"), 1)).toHaveLength(150);
  });

  test("say what they lack where there is no file either", async () => {
    // Neither the folder nor the system's for temporary files can be written to.
    const dir = folder();
    const script = `
      import { createDefaultLogger } from "./src/log/default-logger.ts";
      import { logOnlyCopy } from "./src/log/logger.ts";
      process.env.TMPDIR = "/proc/none";
      const log = await createDefaultLogger("info", "json", ${JSON.stringify(path.join(dir, "none"))});
      for (let i = 0; i < 3; i++) logOnlyCopy(log, { taskId: "t", result: { token: "hush" } }, "gone");
    `;
    const run = await promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
    const lines = parsed(run.stdout.trimEnd().split("\n"));
    expect(lines.map(({ msg }) => msg)).toEqual([
      "undelivered results cannot be kept in a file either",
      ...Array<string>(3).fill("gone; this line is all that is left of it, and it does not show all of it"),
    ]);
    expect(run.stdout).not.toContain("hush");
  });
});

describe.runIf(isLinux)("an ordinary line in the default logger", { timeout: TIMEOUT_MS }, () => {
  test("of megabytes is shortened, and the next one is whole", async () => {
    const script = `
      import { createDefaultLogger } from "./src/log/default-logger.ts";
      const log = await createDefaultLogger("info", "json");
      log.warn({ taskId: "t", reason: "x".repeat(3e6) }, "failed");
      log.info({}, "next");
    `;
    const run = await promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script]);
    const lines = run.stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
      {
        msg: "failed",
        taskId: "t",
        reason: expect.stringMatching(/^x+…$/) as string,
        clippedFrom: expect.any(Number) as number,
      },
      { msg: "next" },
    ]);
    expect(lines[0]!.length).toBeLessThan(20_000);
  });
});
