/**
 * Conductor's own JSON, as the server writes and reads it. Nulls are omitted by the server, so every object-typed field
 * is optional. Times are epoch milliseconds, durations in definitions are seconds.
 */

/** An object as JSON can say it: what tasks and workflows take and give. */
export type JsonObject = Record<string, unknown>;

/** What a task can be in. All but `SCHEDULED` and `IN_PROGRESS` are final for the attempt. */
export type TaskStatus =
  | "SCHEDULED"
  | "IN_PROGRESS"
  | "COMPLETED"
  | "COMPLETED_WITH_ERRORS"
  | "FAILED"
  | "FAILED_WITH_TERMINAL_ERROR"
  | "CANCELED"
  | "TIMED_OUT"
  | "SKIPPED";

/** The statuses a worker may report. */
export type TaskResultStatus = "IN_PROGRESS" | "COMPLETED" | "FAILED" | "FAILED_WITH_TERMINAL_ERROR" | "CANCELED";

/** What a workflow can be in. All but `RUNNING` and `PAUSED` are final, until somebody retries or restarts it. */
export type WorkflowStatus = "RUNNING" | "COMPLETED" | "FAILED" | "TIMED_OUT" | "TERMINATED" | "PAUSED";

/** A task as a poll hands it out, and as `GET /tasks/{taskId}` shows it. */
export interface Task {
  taskId: string;
  workflowInstanceId: string;
  taskType: string;
  taskDefName: string;
  referenceTaskName: string;
  status: TaskStatus;
  inputData: JsonObject;
  outputData: JsonObject;
  /** Attempt number, from 0. */
  retryCount: number;
  /** How often this task was handed out. */
  pollCount: number;
  seq: number;
  scheduledTime: number;
  startTime: number;
  updateTime: number;
  endTime: number;
  responseTimeoutSeconds: number;
  callbackAfterSeconds: number;
  startDelayInSeconds: number;
  workflowType: string;
  workflowPriority: number;
  /** How long it lay in the queue, in ms. */
  queueWaitTime: number;
  iteration: number;
  retried: boolean;
  executed: boolean;
  workerId?: string;
  correlationId?: string;
  domain?: string;
  retriedTaskId?: string;
  reasonForIncompletion?: string;
  taskDefinition?: TaskDef;
  workflowTask?: WorkflowTask;
  externalInputPayloadStoragePath?: string;
  externalOutputPayloadStoragePath?: string;
  /** Resolved secrets named by the definition. Never logged. */
  runtimeMetadata?: Record<string, string>;
  [field: string]: unknown;
}

/** What a worker reports. */
export interface TaskResult {
  taskId: string;
  workflowInstanceId: string;
  status: TaskResultStatus;
  workerId?: string;
  /** Replaces the stored output; it is not merged. */
  outputData?: JsonObject;
  /** The server keeps 500 characters. */
  reasonForIncompletion?: string;
  /** With IN_PROGRESS: back to the queue, visible after this many seconds. */
  callbackAfterSeconds?: number;
  /** The server keeps 10 of them. */
  logs?: TaskLog[];
  /** Only pushes the response timeout out; every other field is ignored. */
  extendLease?: boolean;
  externalOutputPayloadStoragePath?: string;
}

/** One line of the log that the server keeps with a task. */
export interface TaskLog {
  log: string;
  taskId?: string;
  /** Epoch ms. */
  createdTime: number;
}

/** A task definition: how tasks of a type are retried, timed out and limited. Shared by every workflow that names it. */
export interface TaskDef {
  name: string;
  description?: string;
  /** Default 3. */
  retryCount?: number;
  /** Default FIXED. */
  retryLogic?: "FIXED" | "LINEAR_BACKOFF" | "EXPONENTIAL_BACKOFF";
  /** Default 60. */
  retryDelaySeconds?: number;
  /** Default 1. */
  backoffScaleFactor?: number;
  maxRetryDelaySeconds?: number;
  backoffJitterMs?: number;
  /** From the first start, callbacks included; 0 = none. */
  timeoutSeconds?: number;
  /** Default TIME_OUT_WF. */
  timeoutPolicy?: "RETRY" | "TIME_OUT_WF" | "ALERT_ONLY";
  /** Without an update for this long the attempt is TIMED_OUT. Default 3600, at least 1. */
  responseTimeoutSeconds?: number;
  /** In the queue for longer than this: timed out. 0 = none. */
  pollTimeoutSeconds?: number;
  /** Over all attempts; 0 = none. */
  totalTimeoutSeconds?: number;
  /** How many may be IN_PROGRESS at once on the whole server; 0 = no limit. */
  concurrentExecLimit?: number;
  rateLimitPerFrequency?: number;
  rateLimitFrequencyInSeconds?: number;
  inputKeys?: string[];
  outputKeys?: string[];
  inputTemplate?: JsonObject;
  ownerEmail?: string;
  [field: string]: unknown;
}

/** One step of a workflow definition. */
export interface WorkflowTask {
  name: string;
  taskReferenceName: string;
  /** Default SIMPLE. */
  type?: string;
  inputParameters?: JsonObject;
  forkTasks?: WorkflowTask[][];
  joinOn?: string[];
  /** Seconds. */
  startDelay?: number;
  optional?: boolean;
  /** Overrides the definition's. */
  retryCount?: number;
  taskDefinition?: TaskDef;
  [field: string]: unknown;
}

/** A workflow definition: the steps, in their order. A name and a version are one definition. */
export interface WorkflowDef {
  name: string;
  /** Default 1. */
  version?: number;
  description?: string;
  tasks: WorkflowTask[];
  inputParameters?: string[];
  outputParameters?: JsonObject;
  /** Always 2. */
  schemaVersion?: number;
  /** Seconds; 0 = none. */
  timeoutSeconds?: number;
  /** Default ALERT_ONLY. */
  timeoutPolicy?: "TIME_OUT_WF" | "ALERT_ONLY";
  failureWorkflow?: string;
  restartable?: boolean;
  ownerEmail?: string;
  [field: string]: unknown;
}

/** What a workflow is started with. */
export interface StartWorkflowRequest {
  name: string;
  /** Default: the latest. */
  version?: number;
  input?: JsonObject;
  correlationId?: string;
  /** 0 to 99. */
  priority?: number;
  /** Task type (or `*`) to domain. */
  taskToDomain?: Record<string, string>;
  workflowDef?: WorkflowDef;
}

/** A workflow as the server knows it: one run of a definition. */
export interface Workflow {
  workflowId: string;
  status: WorkflowStatus;
  workflowName: string;
  workflowVersion: number;
  input: JsonObject;
  output: JsonObject;
  tasks: Task[];
  createTime: number;
  startTime: number;
  updateTime: number;
  endTime: number;
  priority: number;
  correlationId?: string;
  reasonForIncompletion?: string;
  failedReferenceTaskNames?: string[];
  [field: string]: unknown;
}

/** What `GET /workflow/{workflowId}/status` tells. */
export interface WorkflowState {
  workflowId: string;
  status: WorkflowStatus;
  correlationId?: string;
  /** When it was asked for. */
  output?: JsonObject;
  /** When they were asked for. */
  variables?: JsonObject;
  [field: string]: unknown;
}

/** A workflow as a search shows it. Unlike elsewhere, times are ISO 8601 strings, and input and output are texts. */
export interface WorkflowSummary {
  workflowId: string;
  workflowType: string;
  version: number;
  status: WorkflowStatus;
  correlationId?: string;
  startTime?: string;
  updateTime?: string;
  endTime?: string;
  /** Cut short by the server, and not JSON. */
  input?: string;
  /** Cut short by the server, and not JSON. */
  output?: string;
  reasonForIncompletion?: string;
  /** In ms; 0 while it runs. */
  executionTime?: number;
  priority?: number;
  [field: string]: unknown;
}

/** One page of what a search found. */
export interface SearchResult<T> {
  /** How many there are on all pages. */
  totalHits: number;
  results: T[];
}

/** The body of an error answer. */
export interface ErrorResponse {
  status: number;
  message: string;
  instance?: string;
  retryable?: boolean;
  validationErrors?: { path: string; message: string; invalidValue?: unknown }[];
}
