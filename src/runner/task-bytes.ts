/**
 * What a task takes in an answer, in bytes, from what is known and the answer that came. The larger of both counts, and
 * what is known counts for less with each answer: an answer that is asked for too small costs a request, one that is too
 * large the tasks in it.
 */
export function learnTaskBytes(known: number, answer: { readonly tasks: number; readonly bytes: number }): number {
  return answer.tasks === 0 ? known : Math.max(answer.bytes / answer.tasks, known / 2);
}

/** How many tasks fit into so many bytes, one at least; as many as you like while nothing is known of them. */
export function tasksWithin(bytes: number, bytesPerTask: number): number {
  return bytesPerTask === 0 ? Infinity : Math.max(1, Math.floor(bytes / bytesPerTask));
}
