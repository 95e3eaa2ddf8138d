import { totalmem } from "node:os";
import { getHeapStatistics } from "node:v8";

/** Of the memory of a process, for what one of its buffers may come to hold. */
const SHARE = 1 / 8;

/** What a buffer may hold that is to hold `maxBytes` where there is memory enough, in bytes. */
export function memoryShare(maxBytes: number, memoryBytes: number = memoryLimitBytes()): number {
  return Math.min(maxBytes, memoryBytes * SHARE);
}

/** The memory that this process may come to use, in bytes: V8's heap, or the container's or machine's, if that is less. */
function memoryLimitBytes(): number {
  // 0, or more than any machine has, where nothing constrains the process.
  const constrained = process.constrainedMemory();
  return Math.min(getHeapStatistics().heap_size_limit, constrained > 0 ? constrained : Infinity, totalmem());
}
