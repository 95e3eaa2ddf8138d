import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { factsOfThisProcess, findProcess, judgeOwner, type OwnerFacts } from "../../../../src/runner/journal/owner.js";
import { waitFor } from "../../../support/time/wait-for.js";
import { NOBODY } from "../../../support/unit/journal.js";

const owner: OwnerFacts = { pid: 7, host: "a", bootId: "boot", pidNamespace: "pid:[1]", startTime: "100" };
const bare: OwnerFacts = { pid: 7, host: "a", bootId: undefined, pidNamespace: undefined, startTime: undefined };
const self = { ...owner, pid: 8, startTime: "200" };

describe("the owner of a journal", () => {
  describe("the owner of a journal", () => {
    test.each([
      ["lives: its number and start are there", owner, self, { startTime: "100" }, "alive"],
      ["is dead: its number is free", owner, self, "none", "dead"],
      ["is dead: its number was given to another process", owner, self, { startTime: "101" }, "dead"],
      ["is dead: its number was given to us", { ...owner, pid: 8 }, self, { startTime: "200" }, "dead"],
      ["lives, although the machine was renamed", { ...owner, host: "b" }, self, { startTime: "100" }, "alive"],
      ["is in another container", { ...owner, pidNamespace: "pid:[2]" }, self, "none", "unknown"],
      ["is on another machine, or from before its start", { ...owner, bootId: "other" }, self, "none", "unknown"],
      ["is dead, without /proc", bare, { ...bare, pid: 8 }, "none", "dead"],
      ["may live, without /proc", bare, { ...bare, pid: 8 }, { startTime: undefined }, "unknown"],
      ["is on another machine, without /proc", { ...bare, host: "b" }, { ...bare, pid: 8 }, "none", "unknown"],
    ] as const)("%s", (_what, header, us, found, state) => {
      expect(judgeOwner(header, us, () => found)).toBe(state);
    });
  });

  test("this process is found alive", () => {
    const facts = factsOfThisProcess();
    expect(judgeOwner(facts, facts, findProcess)).toBe("alive");
    expect(findProcess(NOBODY)).toBe("none");
  });

  test.runIf(process.platform === "linux")("a killed process that nobody has waited for is dead", async () => {
    const shell = spawn("bash", ["-c", "sleep 60 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    try {
      const pid = Number(
        await new Promise<string>((resolve) => shell.stdout.once("data", (data) => resolve(String(data)))),
      );
      expect(findProcess(pid)).toMatchObject({ startTime: expect.stringMatching(/^\d+$/) });
      // The shell would still wait for its child; what it becomes does not.
      await waitFor(() => readFileSync(`/proc/${shell.pid}/comm`, "latin1") === "sleep\n", {
        what: "the shell's exec",
      });
      process.kill(pid, "SIGKILL");
      await waitFor(() => readFileSync(`/proc/${pid}/stat`, "latin1").includes(" Z "), { what: "the zombie" });
      expect(findProcess(pid)).toBe("none");
    } finally {
      shell.kill("SIGKILL");
    }
  });
});
