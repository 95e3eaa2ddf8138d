import type { PollerIdentity } from "../../runner/poller-identity.js";
import type { HeldTask } from "../../runner/recovery/held-task.js";
import { IN_FLIGHT_STATES } from "../read-message.js";

/**
 * What a process had in its hands when it died: what its last beat told, corrected by what its watchdog told at the end.
 *
 * @param described the report's lines, `taskType/taskId (state)`; empty when there is no report.
 */
export function leftBehind(
  told: readonly HeldTask[],
  pollers: readonly PollerIdentity[],
  described: readonly string[],
): { tasks: HeldTask[]; pollers: readonly PollerIdentity[] } {
  const tasks = new Map(told.map((task) => [task.taskId, task]));
  for (const line of described) {
    const [, taskType, taskId, stateText] = /^(.+)\/([^/\s]+) \((\w+)\)$/.exec(line) ?? [];
    const state = IN_FLIGHT_STATES.find((known) => known === stateText);
    if (taskType === undefined || taskId === undefined || state === undefined) continue;
    const known = tasks.get(taskId);
    if (known !== undefined) {
      tasks.set(taskId, { ...known, state });
      continue;
    }
    // Without a poll count only a name that nobody else has makes it ours.
    const poller = pollers.find((each) => each.taskType === taskType && each.isUnique);
    if (poller === undefined) continue;
    const { workerId } = poller;
    tasks.set(taskId, { taskId, workflowInstanceId: "", taskType, workerId, pollCount: undefined, state });
  }
  return { tasks: [...tasks.values()], pollers };
}
