import { getHeapStatistics } from "node:v8";

const MIB = 1024 * 1024;
/** What is parsed of an answer may take ten times its bytes and more: of the heap that there is, */
const HEAP_SHARE = 1 / 16;
/** but never less than the largest task that Conductor has, with its output, */
const MIN_ANSWER_BYTES = 24 * MIB;
/** nor so much that the event loop stands still for many seconds while it is parsed. */
const MAX_ANSWER_BYTES = 64 * MIB;
/** Polls are meant to bring so much of that: tasks are not all of one size, and what is cut off is lost for a while. */
const POLL_SHARE = 1 / 16;

/** How long the answers of a worker's server may be, in bytes. */
export interface AnswerBytes {
  /** A longer one is not taken. */
  readonly maxBytes: number;
  /** What the answer to a poll is meant to have at most. */
  readonly wantedPollBytes: number;
}

/** @param heapLimitBytes what the heap of this process may grow to. */
export function answerBytes(heapLimitBytes: number = getHeapStatistics().heap_size_limit): AnswerBytes {
  const maxBytes = Math.floor(Math.min(MAX_ANSWER_BYTES, Math.max(MIN_ANSWER_BYTES, heapLimitBytes * HEAP_SHARE)));
  return { maxBytes, wantedPollBytes: Math.floor(maxBytes * POLL_SHARE) };
}
