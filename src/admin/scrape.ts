import type { MetricsRegistry } from "../metrics/registry.js";

/** Prometheus gives up after 10 s by default; the reason should reach it before, in ms. */
export const SCRAPE_TIMEOUT_MS = 4_000;

export interface Scrape {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Reads the registry, one scrape at a time: who asks meanwhile gets the same one. Rejects with what a metric threw, or
 * after `timeoutMs`: a metric of the user's may wait for something that never comes, and must not hold up later scrapes.
 */
export function createScraper(registry: MetricsRegistry, timeoutMs = SCRAPE_TIMEOUT_MS): () => Promise<Scrape> {
  let current: Promise<Scrape> | undefined;
  return () => {
    current ??= withDeadline(read(registry), timeoutMs).finally(() => {
      current = undefined;
    });
    return current;
  };
}

async function read(registry: MetricsRegistry): Promise<Scrape> {
  const text: unknown = await registry.metrics();
  if (typeof text !== "string") throw new TypeError("the registry gave no text");
  return { contentType: registry.contentType, text };
}

async function withDeadline<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`a metric did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
    timer.unref();
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
