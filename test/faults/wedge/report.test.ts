import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { startProcess, type RunningProcess } from "../../support/process/process-harness.js";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { stallLines, PROGRAM, type WorkerSetup } from "../../support/wedge/worker-process.js";

const processes = useWorkerProcess();

async function startWedged(setup: WorkerSetup & { options?: object }): Promise<RunningProcess> {
  const type = await processes.newTaskType();
  const env = { HANDLER_OPTIONS: JSON.stringify(setup.options ?? {}), ...setup.env };
  const worker = processes.start(type, { wedge: "whileTrue", ...setup, env });
  await type.schedule("wedge");
  return worker;
}

describe("the watchdog's report of a stall", () => {
  test("the report file has it as well, readable by its owner only", async () => {
    const stallReportFile = path.join(processes.folder, "stall.json");
    const child = await startWedged({ options: { stallReportFile } });
    expect(await child.waitForExit()).toEqual({ code: 70, signal: null });
    const [line] = stallLines(child);
    const { time, hostname, pid, exitCode, msg, ...stall } = JSON.parse(
      readFileSync(stallReportFile, "utf8"),
    ) as Record<string, unknown>;
    expect(stall).toEqual(line!.stall);
    expect({ pid, exitCode, msg }).toEqual({ pid: child.pid, exitCode: 70, msg: line!.msg });
    expect(typeof time).toBe("number");
    expect(typeof hostname).toBe("string");
    expect(statSync(stallReportFile).mode & 0o777).toBe(0o600);
  });

  test("a report file stays where it was named, wherever the process goes", async () => {
    const cwd = processes.folder;
    mkdirSync(path.join(cwd, "elsewhere"));
    const goesAway = `data:text/javascript,process.on("worker", () => process.chdir("elsewhere"))`;
    const child = await startWedged({
      options: { stallReportFile: "away.json" },
      nodeArgs: ["--import", goesAway],
      cwd,
    });
    expect(await child.waitForExit()).toEqual({ code: 70, signal: null });
    expect(JSON.parse(readFileSync(path.join(cwd, "away.json"), "utf8"))).toMatchObject({ pid: child.pid });
  });

  test.each([
    ["whose folder is not there", () => path.join(processes.folder, "nowhere", "stall.json"), "ENOENT"],
    ["whose folder is no folder", () => "/dev/full/stall.json", "ENOTDIR"],
  ])("a report file %s is told of, and keeps nothing up", async (_name, file, code) => {
    const child = await startWedged({ options: { stallReportFile: file() } });
    expect(await child.waitForExit()).toEqual({ code: 70, signal: null });
    expect(stallLines(child)).toHaveLength(1);
    const told = child.stderr
      .map((line) => JSON.parse(line) as { msg: string })
      .filter(({ msg }) => msg.includes(code));
    expect(told).toEqual([expect.objectContaining({ level: 50, reportFile: file() })]);
  });

  test("a main thread that gets hardly any CPU is told apart from one that uses it", async () => {
    const { child, type } = await processes.startWorking({ wedge: "whileTrue" });
    const status = readFileSync("/proc/self/status", "utf8");
    const [, cpu = "0"] = /^Cpus_allowed_list:\s*(\d+)/m.exec(status) ?? [];
    // Only its main thread: the watchdog stays awake.
    execFileSync("taskset", ["-cp", cpu, String(child.pid)]);
    const others = Array.from({ length: 4 }, () =>
      startProcess({ source: 'console.log("spins"); for (;;);', under: ["taskset", "-c", cpu] }),
    );
    for (const other of others) await processes.adopt(other).waitForLine(/spins/);
    await type.schedule("wedge");
    expect(await child.waitForExit()).toEqual({ code: 70, signal: null });
    const [line] = stallLines(child);
    const { ofMs, ranMs, waitedMs } = line!.stall.cpu!;
    expect(waitedMs, line!.msg).toBeGreaterThan(ofMs / 2);
    expect(ranMs, line!.msg).toBeGreaterThan(0);
    expect(ranMs + waitedMs, line!.msg).toBeLessThan(1.1 * ofMs);
    expect(line!.msg).toMatch(/; it waited for a CPU \d\.\d of the last \d\.\d s \(/);
  });

  test("a supervisor gets the bare report over a descriptor of its own", async () => {
    const type = await processes.newTaskType();
    const env = { ...process.env, VITEST: undefined, WEDGE: "whileTrue", SERVER_URL: processes.serverUrl };
    const child = spawn(process.execPath, [PROGRAM], {
      env: { ...env, TASK_TYPE: type.name, OSTINATO_REPORT_FD: "3" },
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    let text = "";
    child.stdio[3]!.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await type.schedule("wedge");
    expect(await once(child, "close")).toEqual([70, null]);
    expect(text.endsWith("\n")).toBe(true);
    expect(JSON.parse(text)).toMatchObject({ reason: "loop", stuck: [type.name], mainThread: "busy" });
  });

  test("a pipe that is full, and that nobody reads, does not keep the process", async () => {
    const type = await processes.newTaskType();
    const env = { ...process.env, VITEST: undefined, WEDGE: "whileTrue", SERVER_URL: processes.serverUrl };
    const child = spawn(process.execPath, [PROGRAM], {
      env: { ...env, TASK_TYPE: type.name, FILL_STDERR: "1" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    await type.schedule("wedge");
    const [code] = (await once(child, "exit")) as [number | null];
    expect(stdout).toContain("stderr is full");
    expect(code).toBe(70);
  });

  test("the stack is of the sources that were written, not of what they were compiled to", async () => {
    const script = fileURLToPath(new URL("../../support/wedge/program-typed.ts", import.meta.url));
    const child = await startWedged({ script });
    expect(await child.waitForExit()).toEqual({ code: 70, signal: null });
    const line =
      readFileSync(script, "utf8")
        .split("\n")
        .findIndex((text) => text.includes("for (;;)")) + 1;
    expect(stallLines(child)[0]!.stall.stack).toMatch(new RegExp(`at findsNoEnd .*program-typed\\.ts:${line}:`));
  });
});
