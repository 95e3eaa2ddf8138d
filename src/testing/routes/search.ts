import type { JsonObject } from "../../conductor/types.js";
import { javaString } from "../engine/expressions.js";
import type { TaskRecord, WorkflowRecord } from "../engine/model.js";
import { badRequest, fault } from "../engine/refusal.js";
import type { EngineState } from "../engine/state.js";
import { workflowOf } from "../engine/workflows.js";
import { integerQuery, json, type RouteReply, type Route, type RouteRequest } from "./http.js";

/** The searches: conditions `field='value'` and `field IN (a,b)`, joined by AND. */
export const searchRoutes: readonly Route[] = [
  ["GET", "/api/tasks/search", (request, state) => searchTasks(request, state, taskSummary)],
  ["GET", "/api/tasks/search-v2", (request, state) => searchTasks(request, state, ({ task }) => task)],
  ["GET", "/api/workflow/search", (request, state) => searchWorkflows(request, state, workflowSummary)],
  [
    "GET",
    "/api/workflow/search-v2",
    (request, state) => searchWorkflows(request, state, (record) => workflowOf(record, true)),
  ],
];

const MAX_SIZE = 5000;
const OPEN_STATUSES = ["SCHEDULED", "IN_PROGRESS"];

interface Condition {
  readonly field: string;
  readonly values: readonly string[];
}

/** Reads a query; what is beyond the embedded server is refused rather than misunderstood. */
export function parseQuery(query: string): Condition[] {
  if (query.trim() === "") return [];
  return query
    .trim()
    .split(/\s+AND\s+/i)
    .map((part) => {
      const match = /^(\w+)\s*(?:=\s*(.+)|IN\s*\((.*)\))$/i.exec(part.trim());
      if (match === null) throw fault(`The embedded Conductor cannot search for: ${part}`);
      const [, field = "", value, list] = match;
      const values = list === undefined ? [value ?? ""] : list.split(",");
      return { field, values: values.map((each) => each.trim().replace(/^(['"])(.*)\1$/, "$2")) };
    });
}

function searchTasks(request: RouteRequest, state: EngineState, show: (record: TaskRecord) => unknown): RouteReply {
  const conditions = parseQuery(request.query.get("query") ?? "");
  return page(request, candidateTasks(state, conditions), conditions, ({ task }) => task, show);
}

/** A search for what is unfinished of one type, which workers do, looks only at that. */
function candidateTasks(state: EngineState, conditions: readonly Condition[]): Iterable<TaskRecord> {
  const only = (field: string): readonly string[] | undefined =>
    conditions.find((each) => each.field === field)?.values;
  const [taskType] = only("taskType") ?? only("taskDefName") ?? [];
  if (taskType === undefined) return [...state.tasksByType.values()].flat().filter(isIndexed);
  const statuses = only("status");
  const openOnly = statuses?.every((status) => OPEN_STATUSES.includes(status)) === true;
  return [...((openOnly ? state.openTasks : state.tasksByType).get(taskType) ?? [])].filter(isIndexed);
}

/** The server's index learns of a task when it changes for the first time, not when it is scheduled. */
const isIndexed = ({ task }: TaskRecord): boolean => task.updateTime > 0;

function searchWorkflows(
  request: RouteRequest,
  state: EngineState,
  show: (record: WorkflowRecord) => unknown,
): RouteReply {
  const conditions = parseQuery(request.query.get("query") ?? "");
  const aliases = ({ workflow }: WorkflowRecord) => ({ ...workflow, workflowType: workflow.workflowName });
  return page(request, state.workflows.values(), conditions, aliases, show);
}

function page<T>(
  request: RouteRequest,
  candidates: Iterable<T>,
  conditions: readonly Condition[],
  fieldsOf: (record: T) => object,
  show: (record: T) => unknown,
): RouteReply {
  const start = integerQuery(request, "start", 0);
  const size = integerQuery(request, "size", 100);
  if (size > MAX_SIZE) {
    throw badRequest(`Cannot return more than ${MAX_SIZE} workflows. Please use pagination.`);
  }
  const hits: T[] = [];
  for (const candidate of candidates) {
    const fields = fieldsOf(candidate) as JsonObject;
    if (conditions.every(({ field, values }) => values.includes(String(fields[field])))) hits.push(candidate);
  }
  return json({ totalHits: hits.length, results: hits.slice(start, start + size).map(show) });
}

function taskSummary({ task }: TaskRecord): object {
  const { taskId, taskType, taskDefName, status, workflowType, correlationId, workflowPriority, domain } = task;
  return {
    workflowId: task.workflowInstanceId,
    workflowType,
    correlationId,
    scheduledTime: isoTime(task.scheduledTime),
    startTime: isoTime(task.startTime),
    updateTime: isoTime(task.updateTime),
    endTime: isoTime(task.endTime),
    status,
    reasonForIncompletion: task.reasonForIncompletion,
    executionTime: task.endTime > 0 ? task.endTime - task.startTime : 0,
    queueWaitTime: task.queueWaitTime,
    taskDefName,
    taskType,
    input: javaString(task.inputData),
    output: javaString(task.outputData),
    taskId,
    workflowPriority,
    domain,
  };
}

function workflowSummary({ workflow }: WorkflowRecord): object {
  const { workflowId, correlationId, status, priority, createTime, endTime } = workflow;
  const [input, output] = [javaString(workflow.input), javaString(workflow.output)];
  return {
    workflowType: workflow.workflowName,
    version: workflow.workflowVersion,
    workflowId,
    correlationId,
    startTime: isoTime(createTime),
    updateTime: isoTime(workflow.updateTime),
    endTime: endTime > 0 ? isoTime(endTime) : undefined,
    status,
    input,
    output,
    inputSize: input.length,
    outputSize: output.length,
    taskToDomain: workflow.taskToDomain,
    parentWorkflowId: "",
    classifier: "workflow",
    reasonForIncompletion: workflow.reasonForIncompletion,
    executionTime: endTime > 0 ? endTime - createTime : 0,
    failedReferenceTaskNames: (workflow.failedReferenceTaskNames ?? []).join(","),
    priority,
    failedTaskNames: workflow.failedTaskNames,
  };
}

const isoTime = (ms: number): string => new Date(ms).toISOString();
