/**
 * For a call whose result nobody waits for: if it returned a promise (or anything of that shape), `handle` is told when
 * that rejects, and the rejection does not end the process. Throws what reading `then` throws.
 */
export function onRejection(returned: unknown, handle: (error: unknown) => void): void {
  if (typeof returned !== "object" || returned === null) return;
  if (typeof (returned as { then?: unknown }).then !== "function") return;
  Promise.resolve(returned).then(undefined, handle);
}

/** {@link onRejection} with nothing to say about it. */
export function ignoreRejection(returned: unknown): void {
  onRejection(returned, () => {});
}
