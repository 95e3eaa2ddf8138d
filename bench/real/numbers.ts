import { median } from "../report.js";

/** The value that this share of all values does not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (value === undefined) throw new RangeError("quantile of nothing");
  return value;
}

/** Of each number of the rows, the median; of an even number of rows, the mean of the two in the middle. */
export function medians<T extends { readonly [K in keyof T]: number }>(rows: readonly T[]): T {
  const [first] = rows;
  if (first === undefined) throw new RangeError("medians of nothing");
  const keys = Object.keys(first) as (keyof T)[];
  return Object.fromEntries(keys.map((key) => [key, median(rows.map((row) => row[key]))])) as T;
}
