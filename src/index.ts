export { TaskHandler, type StopOptions, type TaskHandlerStatus } from "./task-handler.js";
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
export { ConfigurationError, OstinatoError, type OstinatoErrorCode } from "./errors.js";
export { createConductorClient, type ConductorClientOptions } from "./conductor-client.js";
export type { ConductorClient } from "./conductor/client.js";
export { ConductorError } from "./conductor/errors.js";
export { TaskClient } from "./conductor/task-client.js";
export { MetadataClient } from "./conductor/metadata-client.js";
export { WorkflowClient, type SearchWorkflowsOptions } from "./conductor/workflow-client.js";
export type { WaitForWorkflowOptions } from "./conductor/wait-for-workflow.js";
export type { TaskDefFields } from "./conductor/task-def-rules.js";
export type * from "./conductor/types.js";
export type { TaskEvent, WorkerEventListener, WorkerEventName, WorkerEvents } from "./telemetry/events.js";
export type { Logger } from "./telemetry/logger.js";
export type { MetricsRegistry } from "./telemetry/metrics/registry.js";
