import { execFileSync } from "node:child_process";
import { appendFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { useWorkerProcess } from "../../support/wedge/use-worker-process.js";
import { WEDGES } from "../../support/wedge/wedges.js";
import { codeOf, ended, stallLines, stuckAt, STALL_MS } from "../../support/wedge/worker-process.js";

// `OSTINATO_WEDGES=all`: each of them; else one of each kind. `OSTINATO_WEDGE_TIMES`: a file that gets a line for each.
const { OSTINATO_WEDGES, OSTINATO_WEDGE_TIMES } = process.env;
const wedges = WEDGES.filter((wedge) => OSTINATO_WEDGES === "all" || wedge.sampled);

const processes = useWorkerProcess();

describe("the watchdog ends a stuck process", () => {
  test.each(wedges)("$name: the process ends in time, and says where it was", async (wedge) => {
    const type = await processes.newTaskType();
    const fifo = path.join(processes.folder, `${type.name}.fifo`);
    execFileSync("mkfifo", [fifo]);
    const worker = processes.start(type, { wedge: wedge.name, env: { FIFO: fifo } });

    const done = wedge.withoutTasks ? undefined : await type.schedule("done");
    if (done !== undefined) expect((await ended(done)).status).toBe("COMPLETED");
    const bystander = wedge.withoutTasks ? undefined : await type.schedule("bystander");
    if (bystander !== undefined) {
      await worker.waitForLine(/began bystander/);
      await type.schedule("wedge");
      await worker.waitForLine(/began wedge/);
    }
    if (wedge.name === "draining") worker.signal("SIGTERM");

    const since = await stuckAt(worker);
    const boundMs = STALL_MS + 3_000;
    const exit = await worker.waitForExit(boundMs + 5_000);
    const tookMs = Date.now() - since;
    const code = codeOf(exit);
    if (OSTINATO_WEDGE_TIMES !== undefined)
      appendFileSync(OSTINATO_WEDGE_TIMES, `${process.version} ${wedge.name} ${code} ${tookMs}\n`);
    expect([70, ...(wedge.alsoCodes ?? [])], worker.output).toContain(code);
    expect(tookMs).toBeLessThan(boundMs);

    const lines = stallLines(worker);
    // A heap that is full ends the process before the watchdog does, as it would without one.
    if (lines.length === 0 && wedge.name === "growing") {
      expect(worker.output).toContain("heap out of memory");
      return;
    }
    expect(lines, worker.output).toHaveLength(1);
    const { stall, ...line } = lines[0]!;
    expect(line).toMatchObject({ level: 60, name: "ostinato", pid: worker.pid, exitCode: 70 });
    expect(stall).toMatchObject({ reason: wedge.reason ?? "loop", mainThread: wedge.mainThread });
    expect(stall.stalledMs).toBeGreaterThanOrEqual(STALL_MS);
    expect(stall.stalledMs).toBeLessThan(STALL_MS + 1_500);
    if (wedge.reason === undefined) expect(stall.stuck).toEqual([type.name]);
    if (wedge.names !== undefined) expect(stall.stack ?? stall.nativeCall).toMatch(wedge.names);
    expect(stall.stack ?? "").not.toContain("ostinato-stall-probe");
    if (bystander === undefined) return;

    expect(stall.lastEntered).toBe(type.name);
    const { taskId, status, reason } = await bystander();
    if (wedge.knowsInFlight) expect(stall.inFlight).toContain(`${type.name}/${taskId} (running)`);
    // Where the event loop turns, what was started is ended on the server; else it is left to who comes next.
    expect(status).toBe(wedge.mainThread === "turning" ? "FAILED" : "IN_PROGRESS");
    if (wedge.mainThread === "turning") {
      expect(reason).toContain("stuck");
      expect(worker.output).toContain("exit listener 70");
      expect(worker.output).toContain(`stalled ${wedge.reason ?? "loop"}`);
    }
  });
});
