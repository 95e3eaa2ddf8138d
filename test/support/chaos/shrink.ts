/** How {@link shrink} is bounded, and what it asks. */
export interface ShrinkOptions<T> {
  /**
   * Tries them, beside each other if it likes, and gives the first of them that still fails; undefined: none does.
   * Called with a few candidates at a time, in the order of preference.
   */
  readonly firstFailing: (candidates: readonly (readonly T[])[]) => Promise<readonly T[] | undefined>;
  /** How many candidates are tried at most. */
  readonly maxTries: number;
  /** How many candidates are tried at a time. */
  readonly atOnce: number;
  /** Whether time is up. */
  readonly isOver: () => boolean;
}

/**
 * Leaves out what is not needed for a failure (delta debugging): halves, then quarters, and so on to single items. Gives
 * the smallest list that was seen to fail, which is the whole one where nothing smaller did.
 */
export async function shrink<T>(items: readonly T[], options: ShrinkOptions<T>): Promise<readonly T[]> {
  const { firstFailing, maxTries, atOnce, isOver } = options;
  let failing = items;
  let parts = 2;
  let tries = 0;
  const isBounded = () => tries >= maxTries || isOver();

  async function smaller(candidates: readonly (readonly T[])[]): Promise<readonly T[] | undefined> {
    for (let at = 0; at < candidates.length && !isBounded(); at += atOnce) {
      const some = candidates.slice(at, at + Math.min(atOnce, maxTries - tries));
      tries += some.length;
      const found = await firstFailing(some);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  while (failing.length > 1 && !isBounded()) {
    parts = Math.min(parts, failing.length);
    const slices = inParts(failing, parts);
    const alone = parts === 2 ? slices : [];
    const without = parts === 2 ? [] : slices.map((slice) => failing.filter((item) => !slice.includes(item)));
    const found = await smaller([...alone, ...without]);
    if (found !== undefined) {
      // What is left of n parts without one are n - 1 of the same size.
      parts = Math.max(parts - 1, 2);
      failing = found;
    } else if (parts >= failing.length) break;
    else parts *= 2;
  }
  return failing;
}

/** Cuts a list into so many parts of about the same length. */
function inParts<T>(items: readonly T[], parts: number): T[][] {
  return Array.from({ length: parts }, (_, n) =>
    items.slice(Math.floor((n * items.length) / parts), Math.floor(((n + 1) * items.length) / parts)),
  );
}
