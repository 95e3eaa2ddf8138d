import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { stallLines, stuckAt, PROGRAM, STALL_MS } from "../../support/wedge/worker-process.js";

// As in a container without an init: signals to oneself do nothing there.
const UNSHARE = ["--pid", "--fork", "--kill-child", "--mount-proc"];
const mayUnshare = spawnSync("unshare", [...UNSHARE, "true"]).status === 0;
if (!mayUnshare) console.warn("NOT RUN: test/faults/wedge/pid1.test.ts needs a Linux that permits `unshare --pid`");

const processes = useWorkerProcess();

describe("the watchdog ends a stuck process", () => {
  test.runIf(mayUnshare).each([
    ["whileTrue", "busy"],
    ["execSync", "native"],
    ["noTimers", "turning"],
  ])("%s as PID 1 ends with 70", async (wedge, mainThread) => {
    const type = await processes.newTaskType();
    const script = fileURLToPath(new URL("../../support/wedge/launch.mjs", import.meta.url));
    const worker = processes.start(type, { wedge, script, args: ["unshare", ...UNSHARE, process.execPath, PROGRAM] });
    await type.schedule("wedge");
    const since = await stuckAt(worker);
    expect(await worker.waitForExit()).toEqual({ code: 70, signal: null });
    expect(Date.now() - since).toBeLessThan(STALL_MS + 3_000);
    expect(stallLines(worker)).toEqual([expect.objectContaining({ pid: 1, exitCode: 70 })]);
    expect(stallLines(worker)[0]!.stall.mainThread).toBe(mainThread);
  });
});
