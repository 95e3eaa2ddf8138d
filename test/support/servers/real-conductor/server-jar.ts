import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findMaven, thisMachine } from "./find-program.js";
import { startGuarded } from "./guarded-process.js";

export const SERVER_VERSION = "3.32.1";
const ARTIFACT = `org.conductoross:conductor-server:${SERVER_VERSION}:jar:boot`;
const FILE_NAME = `conductor-server-${SERVER_VERSION}-boot.jar`;
const CACHE = fileURLToPath(new URL("../../../../.cache/conductor", import.meta.url));

export interface ServerJarOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly onProgress: (step: string) => void;
  readonly signal: AbortSignal | undefined;
  /** Default: `.cache/conductor` in the repository. */
  readonly cache?: string;
}

/** The server's executable jar: the one of `CONDUCTOR_SERVER_JAR`, else the cached one, fetched if need be. */
export async function serverJar({ env, onProgress, signal, cache = CACHE }: ServerJarOptions): Promise<string> {
  const given = env.CONDUCTOR_SERVER_JAR?.trim() ?? "";
  if (given !== "") {
    if (!existsSync(given)) throw new Error(`CONDUCTOR_SERVER_JAR is ${given}, and there is no such file`);
    return path.resolve(given);
  }
  const cached = path.join(cache, FILE_NAME);
  if (existsSync(cached)) return cached;
  const maven = findMaven({ ...thisMachine, env });
  onProgress(`fetching ${ARTIFACT} (about 440 MB, once)`);
  await fetchJar(maven, cached, signal);
  return cached;
}

/** Beside the cache first: what is found under its final name is whole, even if several fetch at once. */
async function fetchJar(maven: string, file: string, signal: AbortSignal | undefined): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const folder = await mkdtemp(path.join(path.dirname(file), "fetching-"));
  const logFolder = await mkdtemp(path.join(tmpdir(), "ostinato-maven-"));
  const args = ["-B", "dependency:copy", `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${folder}`];
  try {
    const process = await startGuarded({ command: maven, args, folder, logFile: path.join(logFolder, "log") });
    const stop = () => void process.signal("SIGTERM");
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
    const code = await process.exited;
    signal?.removeEventListener("abort", stop);
    signal?.throwIfAborted();
    const fetched = path.join(folder, FILE_NAME);
    if (code !== 0 || !existsSync(fetched)) {
      const said = process.lastLines(15).join("\n");
      throw new Error(`Maven could not fetch ${ARTIFACT} (exit code ${code}). It said last:\n${said}`);
    }
    await rename(fetched, file);
  } finally {
    await rm(folder, { recursive: true, force: true });
    await rm(logFolder, { recursive: true, force: true });
  }
}
