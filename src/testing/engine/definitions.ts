import type { JsonObject, TaskDef, WorkflowDef, WorkflowTask } from "../../conductor/types.js";
import { fault } from "./refusal.js";

/** A task definition with the server's defaults filled in. */
export interface CompleteTaskDef extends TaskDef {
  retryCount: number;
  retryLogic: "FIXED" | "LINEAR_BACKOFF" | "EXPONENTIAL_BACKOFF";
  retryDelaySeconds: number;
  backoffScaleFactor: number;
  maxRetryDelaySeconds: number;
  backoffJitterMs: number;
  timeoutSeconds: number;
  timeoutPolicy: "RETRY" | "TIME_OUT_WF" | "ALERT_ONLY";
  responseTimeoutSeconds: number;
  totalTimeoutSeconds: number;
  inputTemplate: JsonObject;
}

export interface CompleteWorkflowDef extends WorkflowDef {
  version: number;
  schemaVersion: number;
  timeoutSeconds: number;
  timeoutPolicy: "TIME_OUT_WF" | "ALERT_ONLY";
  outputParameters: JsonObject;
  inputTemplate: JsonObject;
}

const TIMEOUT_POLICIES = ["RETRY", "TIME_OUT_WF", "ALERT_ONLY"];
const RETRY_LOGICS = ["FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"];

/** Fills in the defaults; refuses what cannot be read as a task definition, as the server's JSON reader does. */
export function completeTaskDef(input: unknown, now: number): CompleteTaskDef {
  const given = jsonObject(input, "TaskDef");
  checkEnum(given, "timeoutPolicy", TIMEOUT_POLICIES);
  checkEnum(given, "retryLogic", RETRY_LOGICS);
  return {
    createTime: now,
    updateTime: 0,
    createdBy: "",
    runtimeMetadata: [],
    taskStatusListenerEnabled: true,
    ...withoutNulls(given),
    name: textOf(given.name),
    retryCount: numberOf(given, "retryCount", 3),
    timeoutSeconds: numberOf(given, "timeoutSeconds", 0),
    inputKeys: listOf(given.inputKeys) as string[],
    outputKeys: listOf(given.outputKeys) as string[],
    timeoutPolicy: (given.timeoutPolicy ?? "TIME_OUT_WF") as CompleteTaskDef["timeoutPolicy"],
    retryLogic: (given.retryLogic ?? "FIXED") as CompleteTaskDef["retryLogic"],
    retryDelaySeconds: numberOf(given, "retryDelaySeconds", 60),
    responseTimeoutSeconds: numberOf(given, "responseTimeoutSeconds", 3600),
    inputTemplate: (given.inputTemplate ?? {}) as JsonObject,
    rateLimitPerFrequency: numberOf(given, "rateLimitPerFrequency", 0),
    rateLimitFrequencyInSeconds: numberOf(given, "rateLimitFrequencyInSeconds", 1),
    backoffScaleFactor: numberOf(given, "backoffScaleFactor", 1),
    maxRetryDelaySeconds: numberOf(given, "maxRetryDelaySeconds", 0),
    backoffJitterMs: numberOf(given, "backoffJitterMs", 0),
    totalTimeoutSeconds: numberOf(given, "totalTimeoutSeconds", 0),
    enforceSchema: given.enforceSchema ?? false,
  };
}

/** Fills in the defaults of a workflow definition and of its tasks. */
export function completeWorkflowDef(input: unknown, now: number): CompleteWorkflowDef {
  const given = jsonObject(input, "WorkflowDef");
  checkEnum(given, "timeoutPolicy", ["TIME_OUT_WF", "ALERT_ONLY"]);
  return {
    createTime: now,
    updateTime: 0,
    metadata: {},
    maskedFields: [],
    ...withoutNulls(given),
    name: textOf(given.name),
    version: numberOf(given, "version", 1),
    tasks: listOf(given.tasks).map(completeWorkflowTask),
    inputParameters: listOf(given.inputParameters) as string[],
    outputParameters: (given.outputParameters ?? {}) as JsonObject,
    schemaVersion: numberOf(given, "schemaVersion", 2),
    restartable: (given.restartable ?? true) as boolean,
    workflowStatusListenerEnabled: given.workflowStatusListenerEnabled ?? false,
    timeoutPolicy: (given.timeoutPolicy ?? "ALERT_ONLY") as CompleteWorkflowDef["timeoutPolicy"],
    timeoutSeconds: numberOf(given, "timeoutSeconds", 0),
    variables: given.variables ?? {},
    inputTemplate: (given.inputTemplate ?? {}) as JsonObject,
    enforceSchema: given.enforceSchema ?? true,
  };
}

function completeWorkflowTask(input: unknown): WorkflowTask {
  const given = jsonObject(input, "WorkflowTask");
  return {
    metadata: {},
    ...withoutNulls(given),
    name: textOf(given.name),
    taskReferenceName: textOf(given.taskReferenceName),
    inputParameters: (given.inputParameters ?? {}) as JsonObject,
    type: textOf(given.type ?? "SIMPLE"),
    decisionCases: given.decisionCases ?? {},
    defaultCase: given.defaultCase ?? [],
    forkTasks: listOf(given.forkTasks).map((branch) => listOf(branch).map(completeWorkflowTask)),
    startDelay: numberOf(given, "startDelay", 0),
    joinOn: listOf(given.joinOn) as string[],
    optional: (given.optional ?? false) as boolean,
    defaultExclusiveJoinTask: given.defaultExclusiveJoinTask ?? [],
    asyncComplete: given.asyncComplete ?? false,
    loopOver: given.loopOver ?? [],
    onStateChange: given.onStateChange ?? {},
    permissive: given.permissive ?? false,
  };
}

/** Every task of a workflow, those in forks included. */
export function allWorkflowTasks(tasks: readonly WorkflowTask[]): WorkflowTask[] {
  return tasks.flatMap((task) => [task, ...(task.forkTasks ?? []).flatMap(allWorkflowTasks)]);
}

function jsonObject(value: unknown, what: string): JsonObject {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw fault(`JSON parse error: Cannot deserialize value of type \`${what}\``);
  }
  return value as JsonObject;
}

function checkEnum(given: JsonObject, field: string, values: readonly string[]): void {
  const value = given[field];
  if (value === undefined || value === null || values.includes(value as string)) return;
  throw fault(
    `JSON parse error: Cannot deserialize value of field ${field}: not one of the values accepted: [${values.join(", ")}]`,
  );
}

function numberOf(given: JsonObject, field: string, byDefault: number): number {
  const value = given[field];
  if (value === undefined) return byDefault;
  if (value === null) return 0;
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isFinite(number)) {
    throw fault(`JSON parse error: Cannot deserialize a number from field ${field}`);
  }
  return Math.trunc(number);
}

function listOf(value: unknown): unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw fault("JSON parse error: Cannot deserialize value of type `ArrayList`");
  return value as unknown[];
}

const textOf = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";

const withoutNulls = (given: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null));
