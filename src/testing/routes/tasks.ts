import type { JsonObject, TaskLog, TaskResultStatus } from "../../conductor/types.js";
import { isEnded } from "../engine/model.js";
import { fault, invalid, notFound, Refusal, type ValidationError } from "../engine/refusal.js";
import type { EngineState } from "../engine/state.js";
import { addLogs, note, type ReceivedResult, updateTask } from "../engine/update-task.js";
import {
  empty,
  type HeldReply,
  json,
  noContent,
  objectBodyOf,
  parameter,
  type RouteReply,
  type Route,
  type RouteRequest,
  text,
} from "./http.js";
import { singlePoll } from "./poll.js";

/** POST /tasks, update-v2, logs and GET /tasks/{taskId} */
export const taskRoutes: readonly Route[] = [
  ["POST", "/api/tasks", update],
  ["POST", "/api/tasks/update-v2", updateV2],
  ["POST", "/api/tasks/{taskId}/log", addLog],
  ["GET", "/api/tasks/{taskId}/log", getLogs],
  ["GET", "/api/tasks/{taskId}", getTask],
];

const RESULT_STATUSES: readonly unknown[] = [
  "IN_PROGRESS",
  "COMPLETED",
  "FAILED",
  "FAILED_WITH_TERMINAL_ERROR",
  "CANCELED",
] satisfies TaskResultStatus[];

/** The JSON reader of the server takes no longer string. */
const MAX_STRING_LENGTH = 20_000_000;

function update(request: RouteRequest, state: EngineState): RouteReply {
  const result = receive(request, state, "v1");
  updateTask(state, result, "v1", request.now);
  return text(result.taskId);
}

function updateV2(request: RouteRequest, state: EngineState): RouteReply | HeldReply {
  const result = receive(request, state, "v2");
  const record = updateTask(state, result, "v2", request.now);
  if (record === undefined || !isEnded(record)) return noContent;
  return singlePoll(record.task.taskType, record.task.domain, result.workerId, "chain");
}

/** Reads the result; what cannot be read stands in the ledger, too. */
function receive(request: RouteRequest, state: EngineState, endpoint: "v1" | "v2"): ReceivedResult {
  let body: JsonObject = {};
  try {
    body = objectBodyOf(request);
    const result = readResult(body, request.body.length);
    checkIds(result, endpoint);
    return result;
  } catch (error) {
    const status = error instanceof Refusal ? error.status : 500;
    const asFarAsKnown = {
      taskId: textOr(body.taskId, ""),
      workflowInstanceId: textOr(body.workflowInstanceId, ""),
      status: undefined,
      size: 0,
    };
    note(state, asFarAsKnown, endpoint, "invalid request", status, request.now);
    throw error;
  }
}

function readResult(body: JsonObject, size: number): ReceivedResult {
  const { status, outputData, logs, callbackAfterSeconds } = body;
  if (isGiven(status) && !RESULT_STATUSES.includes(status)) {
    throw fault(
      `JSON parse error: Cannot deserialize value of type \`TaskResult$Status\` from String "${textOr(status, "?")}": not one of the values accepted for Enum class: [${RESULT_STATUSES.join(", ")}]`,
    );
  }
  if (isGiven(outputData) && (typeof outputData !== "object" || Array.isArray(outputData))) {
    throw fault("JSON parse error: Cannot deserialize value of type `LinkedHashMap`");
  }
  if (isGiven(logs) && !Array.isArray(logs))
    throw fault("JSON parse error: Cannot deserialize value of type `ArrayList`");
  const callback = isGiven(callbackAfterSeconds) ? Number(callbackAfterSeconds) : 0;
  if (!Number.isFinite(callback)) throw fault("JSON parse error: Cannot deserialize value of type `long`");
  if (size > MAX_STRING_LENGTH && hasLongString(body)) {
    throw fault(`JSON parse error: String value length exceeds the maximum allowed (${MAX_STRING_LENGTH})`);
  }
  return {
    taskId: textOr(body.taskId, ""),
    workflowInstanceId: textOr(body.workflowInstanceId, ""),
    status: isGiven(status) ? (status as TaskResultStatus) : undefined,
    callbackAfterSeconds: Math.max(0, Math.trunc(callback)),
    extendLease: body.extendLease === true,
    size,
    ...(isGiven(body.workerId) && { workerId: textOr(body.workerId, "") }),
    ...(isGiven(outputData) && { outputData: outputData as JsonObject }),
    ...(isGiven(logs) && { logs: logs as TaskLog[] }),
    ...(isGiven(body.reasonForIncompletion) && {
      reasonForIncompletion: textOr(body.reasonForIncompletion, ""),
    }),
    ...(isGiven(body.externalOutputPayloadStoragePath) && {
      externalOutputPayloadStoragePath: textOr(body.externalOutputPayloadStoragePath, ""),
    }),
  };
}

/** The same mistake is a 400 for `POST /tasks` and a 500 for `update-v2`, which is validated elsewhere. */
function checkIds(result: ReceivedResult, endpoint: "v1" | "v2"): void {
  const errors: ValidationError[] = [];
  const at = (field: string): string => `updateTask.arg0.${field}`;
  if (result.workflowInstanceId === "") {
    const message = "Workflow Id cannot be null or empty";
    errors.push({ path: at("workflowInstanceId"), message, invalidValue: "" });
  }
  if (result.taskId === "") {
    errors.push({ path: at("taskId"), message: "Task ID cannot be null or empty", invalidValue: "" });
  }
  if (errors.length === 0) return;
  if (endpoint === "v1") throw invalid(errors);
  throw fault(`Validation failed for argument [0]: ${errors.map(({ message }) => message).join("; ")}`);
}

function getTask(request: RouteRequest, state: EngineState): RouteReply {
  const taskId = parameter(request, "taskId");
  const record = state.tasks.get(taskId);
  if (record === undefined) throw notFound(`Task not found for taskId: ${taskId}`);
  return json(record.task);
}

function addLog(request: RouteRequest, state: EngineState): RouteReply {
  addLogs(state, parameter(request, "taskId"), [{ log: request.body }], request.now);
  return empty;
}

function getLogs(request: RouteRequest, state: EngineState): RouteReply {
  const logs = state.logs.get(parameter(request, "taskId")) ?? [];
  return logs.length === 0 ? noContent : json(logs);
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

const textOr = (value: unknown, otherwise: string): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : otherwise;

function hasLongString(value: unknown): boolean {
  if (typeof value === "string") return value.length > MAX_STRING_LENGTH;
  return typeof value === "object" && value !== null && Object.values(value).some(hasLongString);
}
