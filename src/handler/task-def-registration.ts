import type { Clock, Timer } from "../base/clock.js";
import type { MetadataClient } from "../client/metadata-client.js";
import { ConductorError } from "../conductor/errors.js";
import { PASSING_STATUSES } from "../conductor/reply.js";
import { crossProblems, driftOf, type TaskDefFields } from "../conductor/task-def-rules.js";
import type { TaskDef } from "../conductor/types.js";
import type { Logger } from "../log/logger.js";
import type { RepeatLog } from "../log/repeat-log.js";

/** What is to be registered of one task type: a definition if there is none (`true`), or these fields of it. */
export interface TaskDefRegistration {
  readonly name: string;
  readonly wanted: true | TaskDefFields;
}

export interface TaskDefRegistrarOptions {
  readonly registrations: readonly TaskDefRegistration[];
  readonly metadata: Pick<MetadataClient, "getTaskDef" | "registerTaskDefs">;
  readonly clock: Clock;
  /** 0 up to 1, as `Math.random`. */
  readonly random: () => number;
  readonly log: Logger;
  readonly repeatLog: RepeatLog;
}

export interface TaskDefRegistrar {
  /** Resolves when every definition was registered or refused for good, or after `stop()`. Never rejects. */
  readonly done: Promise<void>;
  /** Sends nothing more; a request under way ends by its deadline. Harmless at any time. */
  stop(): void;
}

const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 30_000;
const JITTER = 0.2;
const TROUBLE = "registering task definitions";

/**
 * Registers task definitions in the background: nothing waits for it, and it is tried until it has worked or was refused
 * for good. One request at a time; while the server is away, one a pause.
 */
export function startTaskDefRegistrar(options: TaskDefRegistrarOptions): TaskDefRegistrar {
  const { clock, random, log, repeatLog } = options;
  let isStopped = false;
  let timer: Timer;
  let endPause = (): void => undefined;

  const pause = (delayMs: number) =>
    new Promise<void>((resolve) => {
      endPause = resolve;
      timer = clock.setTimer(resolve, delayMs);
    });

  /** Asked by a function: the compiler would take the answer of a moment ago for one of now. */
  const hasStopped = () => isStopped;

  /** Registers one definition. Returns the error after which it is to be tried again; undefined: it is done with. */
  const settle = async (registration: TaskDefRegistration): Promise<ConductorError | undefined> => {
    const { name } = registration;
    try {
      await register(registration, options, hasStopped);
      if (!hasStopped()) repeatLog.succeeded(TROUBLE);
      return undefined;
    } catch (error) {
      if (hasStopped()) return undefined;
      if (error instanceof ConductorError && !isFinal(error)) {
        repeatLog.failed(TROUBLE, { taskType: name, err: error }, "registering a task definition failed; trying again");
        return error;
      }
      log.error({ taskType: name, err: error }, "the task definition was refused; it is not registered");
      return undefined;
    }
  };

  const run = async (): Promise<void> => {
    let open = options.registrations;
    for (let failures = 0; open.length > 0 && !hasStopped(); failures++) {
      const again: TaskDefRegistration[] = [];
      let last: ConductorError | undefined;
      for (const registration of open) {
        if (hasStopped()) return;
        // Nobody there for one is nobody there for the others.
        const failure: ConductorError | undefined = isAway(last) ? last : await settle(registration);
        if (failure === undefined) continue;
        last = failure;
        again.push(registration);
      }
      open = again;
      if (last !== undefined && !hasStopped()) await pause(pauseMs(failures, random, last.retryAfterMs));
    }
  };

  return {
    done: run().catch((error: unknown) => {
      log.error({ err: error }, "registering task definitions failed unexpectedly");
    }),
    stop() {
      isStopped = true;
      clock.clearTimer(timer);
      endPause();
    },
  };
}

async function register(
  { name, wanted }: TaskDefRegistration,
  { metadata, log }: TaskDefRegistrarOptions,
  hasStopped: () => boolean,
): Promise<void> {
  const existing = await find(metadata, name);
  if (hasStopped()) return;
  const fields = wanted === true ? {} : wanted;
  if (existing === undefined) {
    await metadata.registerTaskDefs([{ ...fields, name }]);
    log.info({ taskType: name }, `task definition ${name}: created`);
    return;
  }
  const drift = driftOf(existing, fields);
  if (drift.length === 0) {
    log.debug({ taskType: name }, `task definition ${name}: there already`);
    return;
  }
  const merged: TaskDef = { ...existing, ...fields, name };
  const problems = crossProblems(merged);
  if (problems.length > 0) {
    // The server would say no, and less clearly.
    const why = `together with what the server has, ${problems.join("; ")}`;
    log.error({ taskType: name, drift }, `task definition ${name}: left as it is: ${why}`);
    return;
  }
  await metadata.registerTaskDefs([merged]);
  log.info({ taskType: name, drift }, `task definition ${name}: overwritten where it differed: ${drift.join("; ")}`);
}

async function find(metadata: TaskDefRegistrarOptions["metadata"], name: string): Promise<TaskDef | undefined> {
  try {
    return await metadata.getTaskDef(name);
  } catch (error) {
    // In Conductor's own words: a proxy's 404 says nothing about definitions.
    if (error instanceof ConductorError && error.status === 404 && error.serverMessage !== undefined) return undefined;
    throw error;
  }
}

/** No answer, none of Conductor's, one that asks to wait, or none without a token. */
function isAway(error: ConductorError | undefined): boolean {
  if (error === undefined) return false;
  const { serverMessage, status = 0 } = error;
  return serverMessage === undefined || status === 401 || PASSING_STATUSES.has(status);
}

/** True when the same request would be refused again: Conductor itself has said so, or our own side. */
export function isFinal(error: ConductorError): boolean {
  if (error.code === "INVALID_REQUEST" || error.code === "CLOSED") return true;
  const { status = 0, serverMessage } = error;
  // A proxy's refusal, whatever its status, says nothing about the definition.
  if (error.code !== "SERVER_REFUSED" || serverMessage === undefined) return false;
  return status >= 400 && status < 500 && status !== 401 && !PASSING_STATUSES.has(status);
}

/** Doubles with each failure; jitter only makes it longer, and so does the server. */
export function pauseMs(failures: number, random: () => number, retryAfterMs = 0): number {
  const step = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures, 20), MAX_PAUSE_MS / (1 + JITTER));
  return Math.max(step * (1 + JITTER * random()), Math.min(retryAfterMs, MAX_PAUSE_MS));
}

/** One for each task type: its workers, of whatever domain, share the definition. Fields win over `true`. */
export function registrationsOf(
  workers: readonly { readonly taskDefName: string; readonly registerTaskDef?: true | TaskDefFields }[],
): TaskDefRegistration[] {
  const byName = new Map<string, true | TaskDefFields>();
  for (const { taskDefName, registerTaskDef } of workers) {
    if (registerTaskDef === undefined) continue;
    if (registerTaskDef !== true || !byName.has(taskDefName)) byName.set(taskDefName, registerTaskDef);
  }
  return Array.from(byName, ([name, wanted]) => ({ name, wanted }));
}
