import { describe, expect, test } from "vitest";
import type { SuperviseOptions } from "../../../../src/supervisor/primary/options.js";
import { superviseWorkers } from "../../../../src/supervisor/primary/supervise.js";

const problemsOf = async (options: unknown) => {
  const error: unknown = await superviseWorkers(options as SuperviseOptions).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "INVALID_CONFIGURATION" });
  return (error as { problems: string[] }).problems;
};

describe("the options of the supervisor", () => {
  test.each([undefined, null, 5, "worker.js"])("%j are no options", async (options) => {
    expect(await problemsOf(options)).toEqual([expect.stringContaining("must be given its options")]);
  });

  test("all that is wrong is named, and what does not exist", async () => {
    const problems = await problemsOf({
      proceses: 4,
      drainTimeout: 5,
      args: "abc",
      execArgv: [5],
      env: 3,
      logger: {},
      signals: "no",
    });
    expect(problems).toEqual([
      "option proceses does not exist (did you mean processes?)",
      "option drainTimeout does not exist (did you mean drainTimeoutMs?)",
      'option args must be an array of strings, got "abc"',
      expect.stringContaining("option execArgv must be an array of strings"),
      "option env must be an object of variables, got 3",
      'option signals must be true or false, got "no"',
      expect.stringContaining("option logger must be"),
      expect.stringContaining("script: name the module that starts the workers"),
    ]);
  });
});
