import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";

const FILE = fileURLToPath(new URL("../../../docs/faults.md", import.meta.url));

/** `docs/faults.md` as it is; empty when there is none. */
export function readDocument(): string {
  return existsSync(FILE) ? readFileSync(FILE, "utf8") : "";
}

/** Writes it in the repository's format. */
export async function writeDocument(text: string): Promise<void> {
  const config = await resolveConfig(FILE);
  mkdirSync(path.dirname(FILE), { recursive: true });
  writeFileSync(FILE, await format(text, { ...config, filepath: FILE }));
}
