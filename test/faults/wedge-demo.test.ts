import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { terminalSvg } from "../../samples/wedge-demo/svg.js";
import { startProcess } from "../support/process/process-harness.js";

const main = fileURLToPath(new URL("../../samples/wedge-demo/main.ts", import.meta.url));
const BOUND_MS = 40_000;
/** The stages of the story, each after the one before. */
const STAGES = [
  /^\$ ostinato run \S+worker\.mjs --processes 2$/,
  /process [01] is there \(pid \d+\)$/,
  /^ *\d+ s {2}#+=+ +\d+\/s$/,
  /in comes a text/,
  /^ *\d+ s {2}(#+|=+) +\d+\/s$/,
  /stuck: no iteration of the poll loop for 4\.\d s/,
  /^ +at hastyCheck \(worker\.mjs:\d+:\d+\)$/,
  /process [01]: a worker process has ended, and is replaced at once/,
  /process [01] is there \(pid \d+\)$/,
  /^ *\d+ s {2}#+=+ +\d+\/s$/,
  /^the task that wedged +FAILED, then COMPLETED$/,
  /^tasks per second +\d+ before, \d+ at the lowest, \d+ after$/,
  /^workflows completed +(\d+) of \1$/,
  /^tasks lost, by the server's ledger +0$/,
  /^tasks done twice +0$/,
  /^exit code of the supervisor +0$/,
];

describe("samples/wedge-demo", () => {
  test("the demo of a wedge tells each stage, without control codes, within 40 s", async () => {
    const demo = startProcess({ script: main, ownGroup: true });
    try {
      const beganAt = performance.now();
      const exit = await demo.waitForExit(BOUND_MS);
      expect(exit, demo.output).toEqual({ code: 0, signal: null });
      expect(performance.now() - beganAt).toBeLessThan(BOUND_MS);
      expect(demo.stderr).toEqual([]);
      expect(demo.stdout.filter((line) => line.length > 80 || /[^\x20-\x7e]/.test(line))).toEqual([]);
      let at = -1;
      for (const stage of STAGES) {
        const next = demo.stdout.findIndex((line, index) => index > at && stage.test(line));
        expect(next, `${String(stage)} after line ${at}:\n${demo.output}`).toBeGreaterThan(at);
        at = next;
      }
      expect(demo.output).not.toContain(path.dirname(main));
    } finally {
      await demo.kill();
    }
  });

  test("the demo ends on Ctrl-C, with all its processes", async () => {
    const demo = startProcess({ script: main, ownGroup: true });
    try {
      await demo.waitForLine(/\d+\/s$/, 20_000);
      demo.signal("SIGINT");
      expect(await demo.waitForExit(15_000), demo.output).toEqual({ code: 130, signal: null });
      expect(demo.stderr).toEqual(["stopped by SIGINT"]);
      const pids = [...demo.output.matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
      expect(pids.length).toBeGreaterThanOrEqual(2);
      for (const pid of pids) expect(() => process.kill(pid, 0), `process ${pid}`).toThrow("ESRCH");
    } finally {
      await demo.kill();
    }
  });

  test("the recording keeps text, colours and columns, and escapes what is markup", () => {
    const svg = terminalSvg([{ text: "  1 s  \x1b[36m##\x1b[39m a<b & \x1b[31mno\x1b[39m", atSeconds: 1.5 }], 80, "t");
    expect(svg).toContain('animation-duration:1.50s"');
    expect(svg).toMatch(/<tspan x="32\.8" textLength="[\d.]+" lengthAdjust="\w+">1 s<\/tspan>/);
    expect(svg).toMatch(/class="a">##<\/tspan>/);
    expect(svg).toMatch(/>a&#60;b &#38;<\/tspan>/);
    expect(svg).toMatch(/class="bad">no<\/tspan>/);
    expect(svg).not.toContain("\x1b");
  });
});
