import type { EngineState } from "../engine/state.js";
import {
  arrayBodyOf,
  booleanQuery,
  bodyOf,
  empty,
  integerQuery,
  json,
  objectBodyOf,
  parameter,
  type RouteReply,
  type Route,
  type RouteRequest,
} from "./http.js";

/** /metadata/… */
export const metadataRoutes: readonly Route[] = [
  ["POST", "/api/metadata/taskdefs", putTaskDefs],
  ["PUT", "/api/metadata/taskdefs", updateTaskDef],
  ["GET", "/api/metadata/taskdefs", (_request, { metadata }) => json(metadata.listTaskDefs())],
  [
    "GET",
    "/api/metadata/taskdefs/{name}",
    (request, { metadata }) => json(metadata.taskDef(parameter(request, "name"))),
  ],
  ["DELETE", "/api/metadata/taskdefs/{name}", removeTaskDef],
  ["POST", "/api/metadata/workflow", addWorkflowDef],
  ["PUT", "/api/metadata/workflow", putWorkflowDefs],
  ["POST", "/api/metadata/workflow/validate", validateWorkflowDef],
  ["GET", "/api/metadata/workflow", (_request, { metadata }) => json(metadata.listWorkflowDefs())],
  ["GET", "/api/metadata/workflow/names", names],
  ["GET", "/api/metadata/workflow/{name}", getWorkflowDef],
  ["DELETE", "/api/metadata/workflow/{name}/{version}", removeWorkflowDef],
];

function putTaskDefs(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.putTaskDefs(arrayBodyOf(request), request.now);
  return empty;
}

function updateTaskDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.updateTaskDef(objectBodyOf(request), request.now);
  return empty;
}

function removeTaskDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.removeTaskDef(parameter(request, "name"));
  return empty;
}

function addWorkflowDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.addWorkflowDef(bodyOf(request), booleanQuery(request, "overwrite", false), request.now);
  return empty;
}

function putWorkflowDefs(request: RouteRequest, { metadata }: EngineState): RouteReply {
  return json({
    bulkErrorResults: {},
    bulkSuccessfulResults: metadata.putWorkflowDefs(arrayBodyOf(request), request.now),
  });
}

function validateWorkflowDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.validateWorkflowDef(bodyOf(request), request.now);
  return empty;
}

function names(_request: RouteRequest, { metadata }: EngineState): RouteReply {
  return json([...new Set(metadata.listWorkflowDefs().map(({ name }) => name))]);
}

function getWorkflowDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  const version = request.query.has("version") ? integerQuery(request, "version", 1) : undefined;
  return json(metadata.workflowDef(parameter(request, "name"), version));
}

function removeWorkflowDef(request: RouteRequest, { metadata }: EngineState): RouteReply {
  metadata.removeWorkflowDef(parameter(request, "name"), Number(parameter(request, "version")));
  return empty;
}
