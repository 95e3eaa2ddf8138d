import type { Clock } from "../base/clock.js";
import type { Logger } from "./logger.js";

/** A trouble that lasts is said once, summed up now and then, and ended with one line. */
export interface RepeatLog {
  /**
   * Something failed. The first time under `key` it is logged at once; again at once when the message is a new one
   * (refused became unauthorized), for a handful of messages; otherwise in a summary, at most one per interval.
   */
  failed(key: string, fields: object, message: string): void;
  /** It works. One line if it had failed, nothing otherwise. Costs a look into a map. */
  succeeded(key: string): void;
}

export interface RepeatLogOptions {
  readonly clock: Pick<Clock, "now">;
  readonly logger: Pick<Logger, "warn" | "info">;
  /** The least time between two summaries of one key, in ms. Default 60000. */
  readonly summaryIntervalMs?: number;
}

interface Trouble {
  readonly sinceMs: number;
  readonly messages: Set<string>;
  lastLineMs: number;
  failures: number;
  failuresLogged: number;
}

/** A message that carries a number or an id is new each time; after this many the summaries must do. */
const MAX_MESSAGES = 5;

/**
 * Makes a {@link RepeatLog}. Sets no timers: a summary comes with a failure. Keys are kept while they fail, so let there
 * be few (a lane, a task type), none made of an id.
 */
export function createRepeatLog({ clock, logger, summaryIntervalMs = 60_000 }: RepeatLogOptions): RepeatLog {
  const troubles = new Map<string, Trouble>();

  return {
    failed(key, fields, message) {
      const now = clock.now();
      const known = troubles.get(key);
      if (known === undefined) {
        troubles.set(key, {
          sinceMs: now,
          messages: new Set([message]),
          lastLineMs: now,
          failures: 1,
          failuresLogged: 1,
        });
        logger.warn(fields, message);
        return;
      }
      known.failures++;
      const isNew = !known.messages.has(message) && known.messages.size < MAX_MESSAGES;
      if (!isNew && now - known.lastLineMs < summaryIntervalMs) return;
      const repeated = known.failures - known.failuresLogged;
      known.failuresLogged = known.failures;
      known.lastLineMs = now;
      if (isNew) {
        known.messages.add(message);
        logger.warn(fields, message);
      } else {
        const lastedMs = Math.round(now - known.sinceMs);
        logger.warn(
          { ...fields, repeated, failures: known.failures, lastedMs },
          `${message} (still: ${repeated} more times)`,
        );
      }
    },
    succeeded(key) {
      const trouble = troubles.get(key);
      if (trouble === undefined) return;
      troubles.delete(key);
      const lastedMs = Math.round(clock.now() - trouble.sinceMs);
      const { failures } = trouble;
      logger.info({ key, failures, lastedMs }, `${key}: works again after ${failures} failures in ${lastedMs} ms`);
    },
  };
}
