import { AsyncResource, type AsyncLocalStorage } from "node:async_hooks";
import { CONTEXT_STORAGE } from "../../worker/context-storage.js";
import type { TaskContext } from "../../worker/task-context.js";
import type { InFlightTask } from "../in-flight.js";
import { returned, returnedTaskResult, threw, type Outcome } from "../outcome.js";
import type { Shared } from "../shared.js";
import { Breather } from "./breather.js";
import { TaskContextImpl } from "./context.js";
import type { Upkeep } from "./upkeep.js";

/** How long a function may take to notice its abort signal before it counts as abandoned, in ms. */
const ABANDON_AFTER_MS = 1_000;

/** Runs users' functions: always ends in an {@link Outcome}, at the deadline at the latest. */
export class Executor {
  readonly #shared: Shared;
  readonly #upkeep: Upkeep;
  readonly #breather = new Breather();
  #abandoned = 0;

  constructor(shared: Shared, upkeep: Upkeep) {
    this.#shared = shared;
    this.#upkeep = upkeep;
  }

  /** Functions that go on although their task was ended. */
  get abandoned(): number {
    return this.#abandoned;
  }

  /** See {@link Breather.turn}. */
  get turn(): Promise<void> | undefined {
    return this.#breather.turn;
  }

  /** The outcome at once where the function is synchronous; never throws, and the promise never rejects. */
  execute(entry: InFlightTask): Outcome | Promise<Outcome> {
    const { worker } = entry;
    entry.state = "running";
    const deadlineReason = this.#upkeep.begin(entry);
    const context = new TaskContextImpl(entry, this.#shared.clock, this.#shared.log);
    entry.logs = context;
    const input = (worker.takesTask ? context.task : entry.task.inputData) as never;
    const convert = worker.takesTask ? returnedTaskResult : returned;
    try {
      const value: unknown = this.#enter(() => withContext(context, () => worker.execute(input, context)));
      if (!isThenable(value)) return convert(value);
      return this.#settle(entry, context, Promise.resolve(value), convert, deadlineReason);
    } catch (thrown) {
      return threw(thrown);
    }
  }

  #enter<T>(call: () => T): T {
    const { clock } = this.#shared;
    const enteredAt = clock.now();
    try {
      return call();
    } finally {
      this.#breather.computed(clock.now() - enteredAt);
    }
  }

  #settle(
    entry: InFlightTask,
    context: TaskContextImpl,
    promise: Promise<unknown>,
    convert: (value: unknown) => Outcome,
    deadlineReason: string,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      let isOpen = true;
      const finish = (outcome: Outcome) => {
        isOpen = false;
        entry.interrupt = undefined;
        resolve(outcome);
      };
      entry.interrupt = (outcome, reason) => {
        finish(outcome);
        this.#abandon(entry, promise);
        context.abort(reason);
      };
      promise.then(
        (value) => {
          if (isOpen) finish(safely(() => convert(value)));
        },
        (thrown: unknown) => {
          if (isOpen) finish(threw(thrown));
        },
      );
      this.#upkeep.watch(entry, deadlineReason);
    });
  }

  /** Counts a function that goes on after its task was ended, until it settles. What it brings is dropped, and said. */
  #abandon(entry: InFlightTask, promise: Promise<unknown>): void {
    const { clock, log, events } = this.#shared;
    this.#abandoned += 1;
    const warning = clock.setTimer(() => {
      log.warn(
        { ...entry.ids, abandoned: this.#abandoned },
        "the function goes on although its task was ended; its slot is free",
      );
      if (events.taskAbandoned.isHeard) events.taskAbandoned.emit(entry.ids);
    }, ABANDON_AFTER_MS);
    const settled = () => {
      this.#abandoned -= 1;
      clock.clearTimer(warning);
      log.debug(entry.ids, "an ended task's function has settled; what it brought is dropped");
    };
    promise.then(settled, settled);
  }
}

/**
 * Each call is a place of its own to async hooks: what a function does to it (`AsyncLocalStorage.enterWith`) would else
 * be there for the next task of its slot, and of its poll. It costs 0.1 µs.
 */
function withContext<T>(context: TaskContext, call: () => T): T {
  const storage = (globalThis as unknown as Record<symbol, AsyncLocalStorage<TaskContext> | undefined>)[
    CONTEXT_STORAGE
  ];
  const scope = new AsyncResource("OstinatoTask");
  return scope.runInAsyncScope(storage === undefined ? call : () => storage.run(context, call));
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === "object" || typeof value === "function") &&
    value !== null &&
    "then" in value &&
    typeof value.then === "function"
  );
}

/** A value may be a proxy, and its getters may throw: that is the function's failure and nobody else's. */
function safely(convert: () => Outcome): Outcome {
  try {
    return convert();
  } catch (thrown) {
    return threw(thrown);
  }
}
