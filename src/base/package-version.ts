import { readFileSync } from "node:fs";

let version: string | undefined;

/** The version of this package; `unknown` in a bundle. Read at the first call. */
export function packageVersion(): string {
  version ??= readVersion();
  return version;
}

function readVersion(): string {
  try {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      name?: unknown;
      version?: unknown;
    };
    // In a bundle there may be another package's file at this place.
    if (manifest.name === "ostinato" && typeof manifest.version === "string") return manifest.version;
  } catch {
    // There is no such file in a bundle.
  }
  return "unknown";
}
