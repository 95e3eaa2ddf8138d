import { inspect } from "node:util";
import { ignoreRejection, onRejection } from "../base/on-rejection.js";
import type { WorkerEventListener, WorkerEventName, WorkerEvents } from "./events.js";

/** The one list of events; the compiler holds it to {@link WorkerEvents}. */
const EVENTS = {
  pollSkipped: true,
  pollCompleted: true,
  pollFailed: true,
  taskStarted: true,
  taskExecuted: true,
  taskFailed: true,
  taskUpdated: true,
  taskUpdateFailed: true,
  taskMoot: true,
  taskUndeliverable: true,
  taskHandedBack: true,
  taskReclaimed: true,
  externalPayloadUsed: true,
  leaseExtended: true,
  taskAbandoned: true,
  connectionsRecycled: true,
  requestEnded: true,
  deadlineExceeded: true,
  stalled: true,
  uncaughtError: true,
} satisfies Record<WorkerEventName, true>;

/** The names of all events. */
export const WORKER_EVENT_NAMES = Object.keys(EVENTS) as readonly WorkerEventName[];

/** One kind of event. Nothing a listener does reaches the one who emits. */
export interface Topic<E> {
  /** Whether anybody listens: asked before an event is built, so that nobody pays for what nobody reads. */
  readonly isHeard: boolean;
  /**
   * Calls the listeners of this moment, in the order in which they were added, and waits for none. Never throws: what a
   * listener throws, or rejects with later, goes to the error callback.
   */
  emit(event: E): void;
}

/** Where events go. A property each, and no look into a map: several are asked for with every task. */
export type WorkerTopics = { readonly [K in WorkerEventName]: Topic<WorkerEvents[K]> };

/** Hands events to listeners. */
export interface WorkerEmitter {
  readonly topics: WorkerTopics;
  /**
   * Calls `listener` with every event of that name, until the returned function is called. One that was added twice is
   * called twice. Throws `TypeError` for a name that does not exist and for a listener that is no function.
   */
  on<K extends WorkerEventName>(name: K, listener: WorkerEventListener<K>): () => void;
  /** Forgets the listener, the one added last if it was added twice. Throws `TypeError` for a name that does not exist. */
  off<K extends WorkerEventName>(name: K, listener: WorkerEventListener<K>): void;
}

interface Registration {
  readonly listener: (event: never) => unknown;
}

class Registrations implements Topic<unknown> {
  isHeard = false;
  readonly #report: (error: unknown) => void;
  /** Replaced, never changed: an emit goes through the list it began with. */
  #list: readonly Registration[] = [];

  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  get list(): readonly Registration[] {
    return this.#list;
  }

  set list(list: readonly Registration[]) {
    this.#list = list;
    this.isHeard = list.length > 0;
  }

  remove(index: number): void {
    if (index >= 0) this.list = this.#list.toSpliced(index, 1);
  }

  emit(event: unknown): void {
    for (const { listener } of this.#list) {
      try {
        const returned = listener(event as never);
        if (returned !== undefined) onRejection(returned, this.#report);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}

/**
 * Makes an emitter. `onListenerError` is told of each listener that threw or rejected; what it throws itself is
 * swallowed, for there is nobody left to tell.
 */
export function createEmitter(onListenerError: (event: WorkerEventName, error: unknown) => unknown): WorkerEmitter {
  const report = (name: WorkerEventName, error: unknown): void => {
    try {
      ignoreRejection(onListenerError(name, error));
    } catch {
      // Nobody is left to tell.
    }
  };
  const registrations = Object.fromEntries(
    WORKER_EVENT_NAMES.map((name) => [
      name,
      new Registrations((error) => {
        report(name, error);
      }),
    ]),
  ) as Record<WorkerEventName, Registrations>;

  const registrationsOf = (name: WorkerEventName): Registrations => {
    if (!Object.hasOwn(registrations, name)) {
      throw new TypeError(`There is no event ${inspect(name)}. Events are: ${WORKER_EVENT_NAMES.join(", ")}.`);
    }
    return registrations[name];
  };

  return {
    topics: registrations,
    on(name, listener) {
      const its = registrationsOf(name);
      if (typeof listener !== "function") {
        throw new TypeError(`The listener of ${name} must be a function, got ${inspect(listener, { depth: 0 })}.`);
      }
      const registration: Registration = { listener };
      its.list = [...its.list, registration];
      return () => {
        its.remove(its.list.indexOf(registration));
      };
    },
    off(name, listener) {
      const its = registrationsOf(name);
      its.remove(its.list.findLastIndex((registration) => registration.listener === listener));
    },
  };
}
