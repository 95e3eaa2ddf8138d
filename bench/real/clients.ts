import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { spawnClient, type ClientProcess, type OfficialSettings } from "./client-process.js";
import type { Part } from "./options.js";

/** A client, and what it is compared as. */
export interface Client {
  readonly name: string;
  readonly file: string;
  /** Acceptance is judged against the default and the tuned ones; a frantic one is out of competition. */
  readonly kind: "ostinato" | "default" | "tuned" | "frantic";
  /** The parts it takes part in. */
  readonly parts: readonly Part[];
  /** For a handler that may execute so many tasks at once. */
  settings(slots: number): OfficialSettings | undefined;
}

const OFFICIAL_FILE = "official/client.mjs";
const OFFICIAL_TUNED = { requestTimeoutMs: 10_000, quiet: true } as const;

export const CLIENTS: readonly Client[] = [
  {
    name: "ostinato",
    file: "clients/ostinato.mjs",
    kind: "ostinato",
    parts: ["a", "b", "c", "d"],
    settings: () => undefined,
  },
  {
    name: "official",
    file: OFFICIAL_FILE,
    kind: "default",
    parts: ["a", "b", "c", "d"],
    settings: () => ({}),
  },
  {
    name: "off.tuned",
    file: OFFICIAL_FILE,
    kind: "tuned",
    parts: ["a", "b", "c"],
    settings: (slots) => ({ ...OFFICIAL_TUNED, pollInterval: 1, pollTimeout: 100, connections: slots + 2 }),
  },
  {
    // Polls that are not held: the best on SQL queues that does not poll much more often than the default.
    name: "off.unheld",
    file: OFFICIAL_FILE,
    kind: "tuned",
    parts: ["b"],
    settings: (slots) => ({ ...OFFICIAL_TUNED, pollInterval: 100, pollTimeout: 0, connections: slots + 2 }),
  },
  {
    // The same, every 20 ms: ten times the requests of the default, also while idle. Shown as what waiting less costs.
    name: "off.frantic",
    file: OFFICIAL_FILE,
    kind: "frantic",
    parts: ["b"],
    settings: (slots) => ({ ...OFFICIAL_TUNED, pollInterval: 20, pollTimeout: 0, connections: slots + 2 }),
  },
];

/** Spawns the client's process. */
export function spawnOf(client: Client): Promise<ClientProcess> {
  return spawnClient(client.name, client.file);
}

/** Installs the official SDK on first use: it is no dependency of this package. */
export async function installOfficial(onProgress: (text: string) => void): Promise<void> {
  const folder = fileURLToPath(new URL("official/", import.meta.url));
  if (existsSync(`${folder}node_modules/@io-orkes/conductor-javascript/package.json`)) return;
  onProgress("installing the official SDK");
  await new Promise<void>((resolve, reject) => {
    const npm = spawn("npm", ["ci"], { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
    let stderr = "";
    npm.stderr.on("data", (bytes) => (stderr += String(bytes)));
    npm.once("error", reject);
    npm.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new Error(`npm ci failed (exit code ${code ?? "unknown"}):\n${stderr.trimEnd()}`));
    });
  });
}
