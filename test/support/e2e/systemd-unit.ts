/** The settings of a unit by `Section.Key`, each with all its values; comments are left out. */
export function parseUnit(text: string): ReadonlyMap<string, readonly string[]> {
  const settings = new Map<string, string[]>();
  let section = "";
  for (const line of text.split("\n")) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const header = /^\[(\w+)\]$/.exec(line)?.[1];
    if (header !== undefined) {
      section = header;
      continue;
    }
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) throw new Error(`not understood: ${line}`);
    const name = `${section}.${key}`;
    settings.set(name, [...(settings.get(name) ?? []), value]);
  }
  return settings;
}

/** `40s`, `2min`, `500ms` or a number of seconds, in ms. */
export function timeSpanMs(value: string): number {
  const [, amount, unit = "s"] = /^(\d+)(ms|s|min)?$/.exec(value) ?? [];
  const units: Record<string, number> = { ms: 1, s: 1_000, min: 60_000 };
  if (amount === undefined) throw new Error(`not a time span: ${value}`);
  return Number(amount) * units[unit]!;
}
