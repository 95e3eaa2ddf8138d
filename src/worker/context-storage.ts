/**
 * Where `ostinato/context` leaves its storage and the runner looks for it. The storage is made only when that module is
 * imported: an `AsyncLocalStorage` costs CPU on every task.
 */
export const CONTEXT_STORAGE = Symbol.for("ostinato.contextStorage");
