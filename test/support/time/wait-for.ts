/** How long to wait, and for what. */
export interface WaitForOptions {
  /** How long to wait at most, in ms. Default 5000. */
  readonly boundMs?: number;
  /** What is waited for, in words: the failure says it. A function is asked when the bound is over. */
  readonly what: string | (() => string);
  /** The pause between two looks, in ms. Default 5. */
  readonly everyMs?: number;
}

/**
 * Looks until `condition` returns something truthy, and resolves with it. A condition that throws (an assertion) is not
 * met yet; its last error becomes the `cause`. A condition whose promise hangs does not outlive the bound.
 */
export async function waitFor<T>(condition: () => T | Promise<T>, options: WaitForOptions): Promise<Exclude<T, Falsy>> {
  const { boundMs = 5_000, everyMs = 5 } = options;
  const endMs = performance.now() + boundMs;
  let lastError: unknown;
  for (;;) {
    try {
      const seen = await withBound(condition(), endMs - performance.now());
      if (seen) return seen as Exclude<T, Falsy>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() >= endMs) {
      const what = typeof options.what === "function" ? options.what() : options.what;
      throw new Error(`not within ${boundMs} ms: ${what}`, lastError === undefined ? {} : { cause: lastError });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

type Falsy = false | 0 | 0n | "" | null | undefined;

async function withBound<T>(value: T | Promise<T>, boundMs: number): Promise<T> {
  if (!(value instanceof Promise)) return value;
  let timer: NodeJS.Timeout | undefined;
  const bound = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => {
        reject(new Error("the condition itself did not settle"));
      },
      Math.max(boundMs, 0),
    );
  });
  try {
    return await Promise.race([value, bound]);
  } finally {
    clearTimeout(timer);
  }
}
