import { inspect } from "node:util";
import { ignoreRejection, onRejection } from "./on-rejection.js";
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

/** Hands events to listeners. Nothing a listener does reaches the one who emits. */
export interface WorkerEmitter {
  /**
   * Calls `listener` with every event of that name, until the returned function is called. One that was added twice is
   * called twice. Throws `TypeError` for a name that does not exist and for a listener that is no function.
   */
  on<K extends WorkerEventName>(name: K, listener: WorkerEventListener<K>): () => void;
  /** Forgets the listener, the one added last if it was added twice. Throws `TypeError` for a name that does not exist. */
  off<K extends WorkerEventName>(name: K, listener: WorkerEventListener<K>): void;
  /** Whether anybody listens: asked before an event is built, so that nobody pays for what nobody reads. */
  has(name: WorkerEventName): boolean;
  /**
   * Calls the listeners of this moment, in the order in which they were added, and waits for none. Never throws: what a
   * listener throws, or rejects with later, goes to the error callback.
   */
  emit<K extends WorkerEventName>(name: K, event: WorkerEvents[K]): void;
}

interface Registration {
  readonly listener: (event: never) => unknown;
}

/**
 * Makes an emitter. `onListenerError` is told of each listener that threw or rejected; what it throws itself is
 * swallowed, for there is nobody left to tell.
 */
export function createEmitter(onListenerError: (event: WorkerEventName, error: unknown) => unknown): WorkerEmitter {
  // Lists are replaced, never changed: an emit goes through the list it began with.
  const registrations = new Map<string, readonly Registration[]>(WORKER_EVENT_NAMES.map((name) => [name, []]));

  const listOf = (name: string): readonly Registration[] => {
    const list = registrations.get(name);
    if (list === undefined) {
      throw new TypeError(`There is no event ${inspect(name)}. Events are: ${WORKER_EVENT_NAMES.join(", ")}.`);
    }
    return list;
  };
  const remove = (name: string, index: number): void => {
    if (index >= 0) registrations.set(name, listOf(name).toSpliced(index, 1));
  };
  const report = (name: WorkerEventName, error: unknown): void => {
    try {
      ignoreRejection(onListenerError(name, error));
    } catch {
      // Nobody is left to tell.
    }
  };

  return {
    on(name, listener) {
      const list = listOf(name);
      if (typeof listener !== "function") {
        throw new TypeError(`The listener of ${name} must be a function, got ${inspect(listener, { depth: 0 })}.`);
      }
      const registration: Registration = { listener };
      registrations.set(name, [...list, registration]);
      return () => {
        remove(name, listOf(name).indexOf(registration));
      };
    },
    off(name, listener) {
      remove(
        name,
        listOf(name).findLastIndex((registration) => registration.listener === listener),
      );
    },
    has(name) {
      return (registrations.get(name)?.length ?? 0) > 0;
    },
    emit(name, event) {
      const list = registrations.get(name);
      if (list === undefined) return;
      for (const { listener } of list) {
        try {
          onRejection(listener(event as never), (error) => {
            report(name, error);
          });
        } catch (error) {
          report(name, error);
        }
      }
    },
  };
}
