import type { Workflow } from "../../../src/index.js";
import type { LedgerEntry } from "../../../src/testing/ledger.js";
import type { ModelServer } from "../servers/model-server.js";
import type { Evidence } from "./audit.js";
import type { SeenEvent } from "./event-log.js";

/** Books for a {@link ModelServer}, for faults that take minutes and run on a fake clock. Call it before the start. */
export function keepBooks(server: ModelServer, events: readonly SeenEvent[]): () => Evidence {
  const ledger: LedgerEntry[] = [];
  const poll = server.pollBatch.bind(server);
  const update = server.update.bind(server);
  const common = (taskId: string) => ({ at: 0, taskId, workflowInstanceId: "w", workerId: "w" });
  server.pollBatch = async (request) => {
    const reply = await poll(request);
    for (const { task } of reply.kind === "answered" ? reply.value.handOuts : []) {
      const { taskType, pollCount } = task;
      ledger.push({ ...common(task.taskId), kind: "handOut", by: "poll", taskType, pollCount, answerWritten: true });
    }
    return reply;
  };
  server.update = async (taskId, body) => {
    const before = server.updates.length;
    const reply = await update(taskId, body);
    for (const { taskId: id, status } of server.updates.slice(before)) {
      const rest = { extendLease: false, endpoint: "v1", applied: true, ignoredReason: undefined } as const;
      ledger.push({ ...common(id), ...rest, kind: "update", status, answeredStatus: 200 });
    }
    return reply;
  };
  return () => {
    const tasks = [...server.tasks].map(([id, { task, status }]) => {
      return { ...task, status, taskId: id, referenceTaskName: id };
    });
    return { ledger, events, workflows: [{ workflowId: "w", tasks } as unknown as Workflow] };
  };
}
