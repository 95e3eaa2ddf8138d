import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import type { EmbeddedConductor } from "../../../src/testing/index.js";
import type { RunningProcess } from "../process/process-harness.js";
import { ended, newTaskType, startServer, startWorker, type TaskType, type WorkerSetup } from "./worker-process.js";

export interface WorkerProcesses {
  readonly serverUrl: string;
  /** A folder that is removed in the end. */
  readonly folder: string;
  newTaskType(): Promise<TaskType>;
  start(type: TaskType, setup?: WorkerSetup): RunningProcess;
  /** One that has done its first task. */
  startWorking(setup?: WorkerSetup): Promise<{ child: RunningProcess; type: TaskType }>;
  /** A process that was started otherwise is to end with the test, too. */
  adopt(child: RunningProcess): RunningProcess;
}

/** For all tests of a file: a server and a folder; what a test starts ends with it. */
export function useWorkerProcess(): WorkerProcesses {
  let server: EmbeddedConductor;
  let folder: string;
  let children: RunningProcess[] = [];
  beforeAll(async () => {
    server = await startServer();
    folder = mkdtempSync(path.join(tmpdir(), "ostinato-wedge-"));
  });
  afterEach(async () => {
    await Promise.all(children.map((child) => child.kill()));
    children = [];
  });
  afterAll(async () => {
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const processes: WorkerProcesses = {
    get serverUrl() {
      return server.serverUrl;
    },
    get folder() {
      return folder;
    },
    newTaskType: () => newTaskType(server),
    start: (type, setup) => processes.adopt(startWorker(server, type, setup)),
    async startWorking(setup) {
      const type = await newTaskType(server);
      const child = processes.start(type, setup);
      expect((await ended(await type.schedule("done"))).status).toBe("COMPLETED");
      return { child, type };
    },
    adopt(child) {
      children.push(child);
      return child;
    },
  };
  return processes;
}
