import { describeHit } from "./chaos-proxy.js";
import type { Remains } from "./judge.js";

/** Fields that are the same in every event of a task. */
const NOT_NEWS = { taskId: undefined, taskType: undefined, workflowInstanceId: undefined };

/** Everything that is known of one task, in the order of time. */
export function storyOf(
  taskId: string,
  { startedAt, ledger, book, hits, results, stops, killedMs }: Remains,
): string[] {
  const moments: [atMs: number, text: string][] = [];
  const at = (atMs: number, text: string) => void moments.push([atMs, text]);
  for (const entry of ledger) {
    if (entry.taskId !== taskId) continue;
    const since = entry.at - startedAt;
    if (entry.kind === "handOut") {
      at(since, `server: handed out by ${entry.by}, poll count ${entry.pollCount}, to ${entry.workerId ?? "nobody"}`);
    } else if (entry.kind === "update") {
      const what = entry.extendLease ? "lease" : (entry.status ?? "an update without a status");
      at(since, `server: ${what} by ${entry.endpoint}, ${entry.ignoredReason ?? "applied"}`);
    }
  }
  for (const entry of book) {
    const since = entry.at - startedAt;
    if ((entry.kind === "began" || entry.kind === "ended") && entry.taskId === taskId) {
      at(since, `function: hand-out ${entry.pollCount} ${entry.kind === "began" ? "began" : entry.end}`);
    } else if (entry.kind === "event" && entry.event.fields.taskId === taskId) {
      at(since, `event: ${entry.event.name} ${JSON.stringify({ ...entry.event.fields, ...NOT_NEWS })}`);
    } else if (entry.kind === "line" && entry.fields.includes(taskId)) {
      at(since, `log: ${entry.level} ${entry.message} ${entry.fields.slice(0, 400)}`);
    }
  }
  for (const hit of hits) if (hit.taskIds.includes(taskId)) at(hit.atMs, `chaos: ${describeHit(hit)}`);
  for (const result of results) {
    if (result.taskId === taskId) at(result.atMs, `proxy: ${result.status}, the server said ${result.answered}`);
  }
  for (const { fromMs, toMs, drainTimeoutMs } of stops) {
    at(fromMs, `the worker is stopped, with a drain of ${drainTimeoutMs} ms`);
    at(toMs, "the worker has stopped");
  }
  for (const atMs of killedMs) at(atMs, "SIGKILL");
  return moments.sort(([a], [b]) => a - b).map(([atMs, text]) => `${String(Math.round(atMs)).padStart(6)} ms  ${text}`);
}

/** What the worker said that is about no single task. */
export function linesOf({ book, startedAt }: Remains): string[] {
  return book.flatMap((entry) => {
    if (entry.kind !== "line" || entry.level === "info" || entry.fields.includes('"taskId"')) return [];
    const at = String(Math.round(entry.at - startedAt)).padStart(6);
    return [`${at} ms  ${entry.level} ${entry.message} ${entry.fields.slice(0, 300)}`];
  });
}
