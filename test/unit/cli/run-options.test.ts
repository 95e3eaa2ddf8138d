import { describe, expect, test } from "vitest";
import { runOptions } from "../../../src/cli/run.js";

describe("the options of ostinato run", () => {
  test("the least: one process of a script, with Node's own arguments", () => {
    expect(runOptions(["worker.js"])).toEqual({
      script: "worker.js",
      args: [],
      execArgv: process.execArgv,
      processes: 1,
    });
  });

  test("all of it; what comes after -- is the script's", () => {
    const words = "--processes auto --admin-port 9400 --admin-host 0.0.0.0 --drain-timeout-ms 0 --start-timeout-ms 5";
    const given = [
      ...words.split(" "),
      "--node-arg=--import=tsx",
      "--node-arg=-C=dev",
      "worker.ts",
      "--",
      "-x",
      "--",
      "y",
    ];
    expect(runOptions(given)).toEqual({
      script: "worker.ts",
      args: ["-x", "--", "y"],
      execArgv: [...process.execArgv, "--import=tsx", "-C=dev"],
      processes: "auto",
      adminPort: 9400,
      adminHost: "0.0.0.0",
      drainTimeoutMs: 0,
      startTimeoutMs: 5,
    });
  });

  test.each([
    [[], /which script/],
    [["a.js", "b.js"], /arguments of the script go after --/],
    [["a.js", "--processes", "0"], /--processes must be a number from 1 to 512, or auto, got 0/],
    [["a.js", "--processes", "2x"], /--processes must be/],
    [["a.js", "--admin-port", "65536"], /--admin-port must be a number from 0 to 65535/],
    [["a.js", "--drain-timeout-ms=-1"], /--drain-timeout-ms must be/],
    [["a.js", "--proceses", "2"], /--proceses/],
  ])("%j is refused, and says why", (args, why) => {
    expect(() => runOptions(args)).toThrow(why);
  });
});
