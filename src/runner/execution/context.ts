import type { Clock } from "../../base/clock.js";
import type { Task, TaskLog } from "../../conductor/types.js";
import type { Logger } from "../../log/logger.js";
import type { TaskContext } from "../../worker/task-context.js";
import type { InFlightTask } from "../in-flight.js";
import { joinLogs, type TaskLogKeeper } from "../task-log.js";

/** What one task may log before the rest is counted instead of kept. */
const MAX_LOG_CHARACTERS = 1_000_000;

/** What `execute` gets. Whatever costs something is made when it is first asked for. */
export class TaskContextImpl implements TaskContext, TaskLogKeeper {
  readonly #entry: InFlightTask;
  /** The entry sheds it, and a function that goes on after the end of its task may still ask for it. */
  readonly #received: Task;
  readonly #clock: Clock;
  readonly #log: Logger;
  #task: Task | undefined;
  #controller: AbortController | undefined;
  #abortReason: Error | undefined;
  #logger: Logger | undefined;
  #write: ((message: string) => void) | undefined;
  #lines: TaskLog[] | undefined;
  #characters = 0;
  #droppedLines = 0;

  constructor(entry: InFlightTask, clock: Clock, log: Logger) {
    this.#entry = entry;
    this.#received = entry.task;
    this.#clock = clock;
    this.#log = log;
  }

  /** A copy: we report by the ids of ours, and a function may change whatever it is given. */
  get task(): Task {
    return (this.#task ??= { ...this.#received });
  }
  get taskId(): string {
    return this.#received.taskId;
  }
  get workflowInstanceId(): string {
    return this.#received.workflowInstanceId;
  }
  get taskDefName(): string {
    return this.#entry.worker.taskDefName;
  }
  get referenceTaskName(): string {
    return this.#received.referenceTaskName;
  }
  get retryCount(): number {
    return this.#received.retryCount;
  }
  get pollCount(): number {
    return this.#received.pollCount;
  }

  get deadline(): Date {
    return new Date(this.#clock.wallNow() + this.#entry.deadlineAt - this.#clock.now());
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  get logger(): Logger {
    if (this.#logger === undefined) {
      this.#logger = this.#log.child?.({ ...this.#entry.ids, retryCount: this.retryCount }) ?? this.#log;
    }
    return this.#logger;
  }

  /** Bound: it is taken out of the context by who destructures that. */
  get log(): (message: string) => void {
    return (this.#write ??= (message) => {
      this.#add(message);
    });
  }

  #add(message: string): void {
    const log = String(message);
    this.#lines ??= [];
    if (this.#characters + log.length > MAX_LOG_CHARACTERS) {
      this.#droppedLines += 1;
      return;
    }
    this.#characters += log.length;
    this.#lines.push({ log, createdTime: this.#clock.wallNow() });
  }

  /** Aborts `signal`, now or when it is first asked for. */
  abort(reason: Error): void {
    if (this.#abortReason !== undefined) return;
    this.#abortReason = reason;
    this.#controller?.abort(reason);
  }

  /** The lines for the result, `lastLine` behind them; more than the server keeps are joined. */
  takeLogs(lastLine?: string): TaskLog[] | undefined {
    const createdTime = this.#lines === undefined && lastLine === undefined ? 0 : this.#clock.wallNow();
    if (this.#droppedLines > 0) {
      const log = `${this.#droppedLines} more lines were dropped: a task may log ${MAX_LOG_CHARACTERS} characters`;
      this.#lines?.push({ log, createdTime });
      this.#droppedLines = 0;
    }
    if (lastLine !== undefined) (this.#lines ??= []).push({ log: lastLine, createdTime });
    return this.#lines === undefined ? undefined : joinLogs(this.#lines);
  }
}
