import { PROBE_URL } from "./thread/probe-source.js";

/** What a report takes from the main thread. */
export interface Described {
  readonly inFlight: readonly string[];
  readonly eventLoopDelayMs: number;
}

/** Given to the hook instead of an id: the main thread stands still, and does not use what `exit()` takes apart. */
export const HOLD = -1;

const MAX_FRAMES = 40;

/**
 * Puts a function where the watchdog's probe finds it, under `Symbol.for(name)`. It is called while the main thread is
 * interrupted at any point of any code, so it only reads, and throws nothing. It returns JSON: the stack that was
 * interrupted (mapped to the sources where the process does that), what is in flight for `id`, what holds the event
 * loop, and the inspector's address if one is open. Called with {@link HOLD} it stands still. Returns the way to take it
 * away again.
 */
export function installStallHook(
  name: string,
  describe: (id: number) => Described | undefined,
  standStill: () => void,
): () => void {
  const key = Symbol.for(name);
  const hook = (id: number): string => {
    if (id === HOLD) standStill();
    return JSON.stringify({
      stack: attempt(() => stackBelow(hook)),
      described: attempt(() => describe(id)),
      activeResources: attempt(countActiveResources),
      inspectorUrl: attempt(() => process.getBuiltinModule("node:inspector").url()),
    });
  };
  const holder = globalThis as unknown as Record<symbol, unknown>;
  Object.defineProperty(holder, key, { value: hook, configurable: true, enumerable: false });
  return () => {
    Reflect.deleteProperty(holder, key);
  };
}

/** The stack above which `hook` was called; undefined when it is empty. */
function stackBelow(hook: (id: number) => string): string | undefined {
  const { stackTraceLimit } = Error;
  const error = new Error();
  try {
    Error.stackTraceLimit = MAX_FRAMES;
    Error.captureStackTrace(error, hook);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  const { stack } = error as { stack: unknown };
  if (typeof stack !== "string") return undefined;
  const frames = stack.split("\n").filter((line) => line.trimStart().startsWith("at ") && !line.includes(PROBE_URL));
  return frames.length === 0 ? undefined : frames.join("\n");
}

function countActiveResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const resource of process.getActiveResourcesInfo()) counts[resource] = (counts[resource] ?? 0) + 1;
  return counts;
}

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
