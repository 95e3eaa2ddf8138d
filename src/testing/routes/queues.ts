import { queueNameOf } from "../../conductor/queue-name.js";
import { fault } from "../engine/refusal.js";
import { enqueue, type EngineState } from "../engine/state.js";
import {
  integerQuery,
  json,
  parameter,
  type RouteReply,
  requiredQuery,
  type Route,
  type RouteRequest,
  text,
} from "./http.js";

/** /tasks/queue/… and the listing of unfinished tasks */
export const queueRoutes: readonly Route[] = [
  ["GET", "/api/tasks/queue/sizes", sizes],
  ["GET", "/api/tasks/queue/size", size],
  ["GET", "/api/tasks/queue/all", all],
  ["GET", "/api/tasks/queue/polldata", pollData],
  ["GET", "/api/tasks/queue/polldata/all", (_request, state) => json([...state.pollData.values()])],
  ["POST", "/api/tasks/queue/requeue/{taskType}", requeue],
  ["GET", "/api/admin/task/{taskType}", unfinishedTasks],
];

const sizeOf = (state: EngineState, queueName: string): number => state.queues.get(queueName)?.size ?? 0;

function sizes({ query }: RouteRequest, state: EngineState): RouteReply {
  const names = query.getAll("taskType").flatMap((value) => value.split(","));
  if (names.length === 0) throw fault('Cannot invoke "java.util.List.iterator()" because "taskDefNames" is null');
  return json(Object.fromEntries(names.map((name) => [name, sizeOf(state, name)])));
}

function size(request: RouteRequest, state: EngineState): RouteReply {
  const domain = request.query.get("domain") ?? undefined;
  return json(sizeOf(state, queueNameOf(requiredQuery(request, "taskType"), domain)));
}

function all(_request: RouteRequest, state: EngineState): RouteReply {
  return json(Object.fromEntries([...state.queues.values()].map((queue) => [queue.name, queue.size])));
}

function pollData(request: RouteRequest, state: EngineState): RouteReply {
  const taskType = requiredQuery(request, "taskType");
  return json([...state.pollData.values()].filter(({ queueName }) => queueName === taskType));
}

/** Puts every unfinished task of the type back, those that somebody works on included: so the server does it. */
function requeue(request: RouteRequest, state: EngineState): RouteReply {
  const records = [...(state.openTasks.get(parameter(request, "taskType")) ?? [])];
  for (const record of records) {
    enqueue(state, record, record.task.callbackAfterSeconds * 1000, request.now);
    state.ledger.push({ kind: "requeue", at: request.now, taskId: record.task.taskId });
  }
  return text(String(records.length));
}

function unfinishedTasks(request: RouteRequest, state: EngineState): RouteReply {
  const start = integerQuery(request, "start", 0);
  const count = integerQuery(request, "count", 100);
  const open = [...(state.openTasks.get(parameter(request, "taskType")) ?? [])];
  return json(open.slice(start, start + count).map(({ task }) => task));
}
