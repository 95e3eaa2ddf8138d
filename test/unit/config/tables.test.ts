import { describe, expect, test } from "vitest";
import { PROCESS_VARIABLES } from "../../../src/config/handler-options.js";
import { resolve, resolveGreet, worker } from "../../support/unit/config.js";

const likeOfWorkers = PROCESS_VARIABLES.filter((name) => name.startsWith("CONDUCTOR_WORKER_"));

describe("the tables of the options", () => {
  test("some variables of the process begin like those of a worker", () => {
    expect(likeOfWorkers).toContain("CONDUCTOR_WORKER_ADMIN_PORT");
  });

  test.each(likeOfWorkers)("%s is not taken for a variable of the task type that it begins with", (variable) => {
    const [taskDefName = ""] = variable.slice("CONDUCTOR_WORKER_".length).split("_");
    expect(resolve({ workers: [worker(taskDefName)] }, { [variable]: "60" }).warnings).toEqual([]);
  });

  test("sources are kept of what is told at start", () => {
    expect(Object.keys(resolve().sources)).toEqual([
      "serverUrl",
      "auth",
      "requestTimeoutMs",
      "stallTimeoutSeconds",
      "watchdog",
      "adminPort",
      "logLevel",
    ]);
  });

  test("a workerId is this process's alone unless somebody has set it", () => {
    const variable = "CONDUCTOR_WORKER_ALL_WORKER_ID";
    expect(resolveGreet().isWorkerIdUnique).toBe(true);
    expect(resolveGreet({ workerId: " " }, { [variable]: "" }).isWorkerIdUnique).toBe(true);
    expect(resolveGreet({ workerId: "me" }).isWorkerIdUnique).toBe(false);
    expect(resolveGreet({}, { [variable]: "me" }).isWorkerIdUnique).toBe(false);
  });
});
