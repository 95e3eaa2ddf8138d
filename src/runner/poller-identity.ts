/** One worker of a process, and the name under which it polled. */
export interface PollerIdentity {
  readonly taskType: string;
  readonly domain: string | undefined;
  readonly workerId: string;
  /** The `workerId` is of that process alone, so that whatever the server has under it was that process's. */
  readonly isUnique: boolean;
  /** The process ended all that it had: what the server still has under the name never reached it. Default false. */
  readonly leftNothing?: boolean;
}
