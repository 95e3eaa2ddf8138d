/**
 * Workers, the handler that runs them, and a client of Conductor's API.
 *
 * @module ostinato
 */

export { TaskHandler, type StopOptions } from "./handler/task-handler.js";
export type { RunnerStatus, TaskHandlerStatus } from "./status.js";
export type { LoopPhase } from "./liveness/board.js";
export type { StallReason, StallReport } from "./liveness/stall-report.js";
export type { AuthOptions, JournalOptions, TaskHandlerOptions } from "./config/types.js";
export {
  defineWorker,
  type ConductorWorker,
  type Execute,
  type WorkerDefinition,
  type WorkerOptions,
  type WorkerSpec,
} from "./worker/define-worker.js";
export type { TaskContext } from "./worker/task-context.js";
export { inProgress, type InProgress, type InProgressOptions } from "./worker/in-progress.js";
export { NonRetryableError, TaskCancelledError, TaskDeadlineError, TaskStoppingError } from "./worker/errors.js";
export { ConfigurationError, OstinatoError, type OstinatoErrorCode } from "./base/errors.js";
export { createConductorClient, type ConductorClient, type ConductorClientOptions } from "./client/conductor-client.js";
export { ConductorError, type ConductorErrorDetails } from "./conductor/errors.js";
export { TaskClient } from "./client/task-client.js";
export { MetadataClient } from "./client/metadata-client.js";
export { WorkflowClient, type SearchWorkflowsOptions } from "./client/workflow-client.js";
export type { WaitForWorkflowOptions } from "./client/wait-for-workflow.js";
export type { TaskDefFields } from "./conductor/task-def-rules.js";
export type * from "./conductor/types.js";
export type { TaskEvent, WorkerEventListener, WorkerEventName, WorkerEvents } from "./events/events.js";
export type { Lane } from "./http/exchange.js";
export type { Logger } from "./log/logger.js";
export type { MetricsRegistry } from "./metrics/registry.js";
