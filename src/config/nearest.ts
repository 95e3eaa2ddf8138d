/** The candidate of which `name` is a misspelling by one letter (or two swapped), case and separators aside, or undefined. */
export function misspelt(name: string, candidates: Iterable<string>): string | undefined {
  for (const candidate of candidates) {
    if (editDistance(plain(name), plain(candidate)) <= 1) return candidate;
  }
  return undefined;
}

/**
 * The candidate that `name` was probably meant to be, or undefined. Case and separators do not count; after that, a name
 * is near when a third of its letters or fewer are wrong, or when one name is a part of the other.
 */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  const wanted = plain(name);
  if (wanted === "") return undefined;
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of candidates) {
    const other = plain(candidate);
    const distance = editDistance(wanted, other);
    const isNear = distance <= Math.max(wanted.length, other.length) / 3;
    const isPart = Math.min(wanted.length, other.length) >= 4 && (other.includes(wanted) || wanted.includes(other));
    if ((isNear || isPart) && distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** ` (did you mean x?)`, or nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const guess = nearest(name, candidates);
  return guess === undefined ? "" : ` (did you mean ${guess}?)`;
}

/** One problem for each name in `given` that is none of `known`. `path` is where they stand: `auth.`. */
export function unknownOptions(given: object, known: object, path = ""): string[] {
  const names = Object.keys(known);
  return Object.keys(given)
    .filter((name) => !names.includes(name))
    .map((name) => `option ${path}${name} does not exist${didYouMean(name, names)}`);
}

function plain(name: string): string {
  return name.toLowerCase().replace(/[^a-z0-9]/g, "");
}

/** Letters to change, add, leave out or swap with the next one; row by row. Names of options are short. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swapped = isSwapped ? (before[j - 2] ?? 0) + 1 : Infinity;
      next.push(Math.min(replaced, swapped, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}
