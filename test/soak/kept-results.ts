import { closeSync, openSync, readdirSync } from "node:fs";
import path from "node:path";
import { readAtOf, scan } from "../../src/runner/journal/scan.js";

/** A finished result that was in a journal, and not acknowledged, when its process was killed. */
export interface KeptResult {
  readonly taskId: string;
  readonly workflowInstanceId: string;
  readonly step: string;
  readonly keptAt: number;
}

/** What the journals of a process hold: its own, and those of dead ones that it has claimed. It must be stopped. */
export function keptResultsOf(pid: number, dir: string): KeptResult[] {
  const theirs = new RegExp(`^(${pid}-[0-9a-f]+\\.journal|.*~${pid}-[0-9a-f]+\\.claimed)$`);
  return readdirSync(dir)
    .filter((name) => theirs.test(name))
    .flatMap((name) => {
      const fd = openSync(path.join(dir, name), "r");
      try {
        return [...scan(readAtOf(fd)).live.values()].map(({ meta: { taskId, workflowInstanceId, taskType } }) => ({
          taskId,
          workflowInstanceId,
          step: taskType,
          keptAt: Date.now(),
        }));
      } finally {
        closeSync(fd);
      }
    });
}
