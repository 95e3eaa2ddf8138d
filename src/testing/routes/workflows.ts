import type { JsonObject, WorkflowDef } from "../../conductor/types.js";
import { decide } from "../engine/decide.js";
import { fault } from "../engine/refusal.js";
import type { EngineState } from "../engine/state.js";
import {
  pauseWorkflow,
  resumeWorkflow,
  startWorkflow,
  terminateWorkflow,
  workflowById,
  workflowOf,
} from "../engine/workflows.js";
import {
  booleanQuery,
  empty,
  integerQuery,
  json,
  objectBodyOf,
  parameter,
  type RouteReply,
  type Route,
  type RouteRequest,
  text,
} from "./http.js";

/** /workflow/… apart from the searches */
export const workflowRoutes: readonly Route[] = [
  ["POST", "/api/workflow", start],
  ["POST", "/api/workflow/{name}", startByName],
  ["GET", "/api/workflow/{workflowId}", get],
  ["GET", "/api/workflow/{workflowId}/status", status],
  ["GET", "/api/workflow/{workflowId}/tasks", tasks],
  ["DELETE", "/api/workflow/{workflowId}", terminate],
  ["PUT", "/api/workflow/decide/{workflowId}", decideNow],
  ["PUT", "/api/workflow/{workflowId}/pause", pause],
  ["PUT", "/api/workflow/{workflowId}/resume", resume],
  ["GET", "/api/workflow/running/{name}", running],
];

const recordOf = (request: RouteRequest, state: EngineState) => workflowById(state, parameter(request, "workflowId"));

function start(request: RouteRequest, state: EngineState): RouteReply {
  const body = objectBodyOf(request);
  const { name, version, correlationId, priority, input, taskToDomain, workflowDef } = body;
  if (priority !== undefined && priority !== null && typeof priority !== "number") {
    throw fault("JSON parse error: Cannot deserialize value of type `Integer`");
  }
  if (input !== undefined && input !== null && !isObject(input)) {
    throw fault("JSON parse error: Cannot deserialize value of type `LinkedHashMap`");
  }
  return text(
    startWorkflow(
      state,
      {
        ...(typeof name === "string" && { name }),
        ...(typeof version === "number" && { version }),
        ...(typeof correlationId === "string" && { correlationId }),
        ...(typeof priority === "number" && { priority }),
        ...(input !== undefined && { input: input as JsonObject | null }),
        ...(isObject(taskToDomain) && { taskToDomain: taskToDomain as Record<string, string> }),
        ...(isObject(workflowDef) && { workflowDef: workflowDef as WorkflowDef }),
      },
      request.now,
    ),
  );
}

function startByName(request: RouteRequest, state: EngineState): RouteReply {
  const correlationId = request.query.get("correlationId");
  const version = request.query.get("version");
  const input = objectBodyOf(request);
  return text(
    startWorkflow(
      state,
      {
        name: parameter(request, "name"),
        input,
        priority: integerQuery(request, "priority", 0),
        ...(version !== null && version !== "" && { version: integerQuery(request, "version", 1) }),
        ...(correlationId !== null && { correlationId }),
      },
      request.now,
    ),
  );
}

function get(request: RouteRequest, state: EngineState): RouteReply {
  return json(workflowOf(recordOf(request, state), booleanQuery(request, "includeTasks", true)));
}

function status(request: RouteRequest, state: EngineState): RouteReply {
  const { workflow } = recordOf(request, state);
  return json({
    workflowId: workflow.workflowId,
    correlationId: workflow.correlationId,
    ...(booleanQuery(request, "includeOutput", false) && { output: workflow.output }),
    ...(booleanQuery(request, "includeVariables", false) && { variables: workflow.variables }),
    status: workflow.status,
  });
}

function tasks(request: RouteRequest, state: EngineState): RouteReply {
  const statuses = request.query.getAll("status");
  const from = integerQuery(request, "start", 0);
  const all = recordOf(request, state)
    .tasks.map(({ task }) => task)
    .filter((task) => statuses.length === 0 || statuses.includes(task.status));
  return json({ totalHits: all.length, results: all.slice(from, from + integerQuery(request, "count", 15)) });
}

function terminate(request: RouteRequest, state: EngineState): RouteReply {
  terminateWorkflow(state, recordOf(request, state), request.query.get("reason") ?? "", request.now);
  return empty;
}

function decideNow(request: RouteRequest, state: EngineState): RouteReply {
  decide(state, recordOf(request, state), request.now);
  return empty;
}

function pause(request: RouteRequest, state: EngineState): RouteReply {
  pauseWorkflow(state, recordOf(request, state), request.now);
  return empty;
}

function resume(request: RouteRequest, state: EngineState): RouteReply {
  resumeWorkflow(state, recordOf(request, state), request.now);
  return empty;
}

function running(request: RouteRequest, state: EngineState): RouteReply {
  const version = integerQuery(request, "version", 1);
  const records = [...(state.runningWorkflows.get(parameter(request, "name")) ?? [])];
  return json(records.filter(({ workflow }) => workflow.workflowVersion === version).map((r) => r.workflow.workflowId));
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
