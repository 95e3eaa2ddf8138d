/** What a client tells of its requests, to whoever counts them. None of it may throw. */
export interface ClientSink {
  /** A request has ended. `status`: 0 when no whole answer came. */
  requestEnded(method: string, pathTemplate: string, status: number, durationMs: number): void;
  /** A workflow is about to be started. `version`: as it was asked for. `inputBytes`: of its input as JSON. */
  workflowStarting(workflowType: string, version: number | undefined, inputBytes: number): void;
  /** A workflow could not be started, or nobody knows whether it was. */
  workflowStartFailed(workflowType: string, error: unknown): void;
}
