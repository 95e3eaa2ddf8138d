/**
 * The task that the calling function works for, without passing it on. Its import makes an `AsyncLocalStorage`, which
 * costs CPU on every task.
 *
 * @module ostinato/context
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { CONTEXT_STORAGE } from "./context-storage.js";
import type { TaskContext } from "./task-context.js";

type Holder = Record<symbol, AsyncLocalStorage<TaskContext> | undefined>;
const storage = ((globalThis as unknown as Holder)[CONTEXT_STORAGE] ??= new AsyncLocalStorage<TaskContext>());

/** The context of the task that the calling function works for, however deep; `undefined` outside of a task. */
export function getTaskContext(): TaskContext | undefined {
  return storage.getStore();
}

export type { TaskContext } from "./task-context.js";
