import type { HandedOut, ReceivedPoll } from "../engine/hand-out.js";
import { badRequest } from "../engine/refusal.js";
import type { HandOut } from "../ledger.js";
import {
  type HeldReply,
  integerQuery,
  json,
  noContent,
  parameter,
  type RouteReply,
  type Route,
  type RouteRequest,
} from "./http.js";

const MAX_POLL_TIMEOUT_MS = 5000;
/** Of a single poll, and of the poll inside an `update-v2`. */
const SINGLE_POLL_TIMEOUT_MS = 100;

/** GET /tasks/poll/… */
export const pollRoutes: readonly Route[] = [
  ["GET", "/api/tasks/poll/{taskType}", pollOne],
  ["GET", "/api/tasks/poll/batch/{taskType}", pollBatch],
];

function pollOne(request: RouteRequest): HeldReply {
  const { query } = request;
  return singlePoll(
    parameter(request, "taskType"),
    query.get("domain") ?? undefined,
    query.get("workerid") ?? undefined,
    "poll",
  );
}

function pollBatch(request: RouteRequest): RouteReply | HeldReply {
  const { query } = request;
  const timeoutMs = integerQuery(request, "timeout", 100);
  const count = integerQuery(request, "count", 1);
  if (timeoutMs > MAX_POLL_TIMEOUT_MS) {
    throw badRequest("Long Poll Timeout value cannot be more than 5 seconds");
  }
  if (count < 1) return json([]);
  const poll: ReceivedPoll = {
    taskType: parameter(request, "taskType"),
    domain: query.get("domain") ?? undefined,
    workerId: query.get("workerid") ?? undefined,
    count,
    timeoutMs,
    by: "poll",
  };
  return { poll, reply: (handedOut) => ({ ...json(handedOut.map(taskOf)), handOuts: handedOut.map(entryOf) }) };
}

/** 200 with a task, or 204 when none came in time. */
export function singlePoll(
  taskType: string,
  domain: string | undefined,
  workerId: string | undefined,
  by: HandOut["by"],
): HeldReply {
  return {
    poll: { taskType, domain, workerId, count: 1, timeoutMs: SINGLE_POLL_TIMEOUT_MS, by },
    reply: ([handedOut]) =>
      handedOut === undefined ? noContent : { ...json(taskOf(handedOut)), handOuts: [handedOut.entry] },
  };
}

const taskOf = ({ record }: HandedOut) => record.task;
const entryOf = ({ entry }: HandedOut): HandOut => entry;
