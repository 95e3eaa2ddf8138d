import { execFile } from "node:child_process";
import { accessSync, constants, readdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/** The server's classes are compiled for it. */
export const MIN_JAVA = 21;
/** The server's queues use `ZADD … LT`. */
export const MIN_REDIS = [6, 2] as const;

/** A program never needs this long to tell its version, in ms. */
const ASK_TIMEOUT_MS = 20_000;

/** What a search looks at; replaced in tests. */
export interface Surroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  readonly home: string;
  /** The entries of a folder; none when it is not there. */
  list(folder: string): readonly string[];
  isExecutable(file: string): boolean;
  /** All that the program says; `undefined` when it cannot be run. */
  ask(file: string, args: readonly string[]): Promise<string | undefined>;
}

export const thisMachine: Surroundings = {
  env: process.env,
  platform: process.platform,
  home: homedir(),
  list(folder) {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  },
  isExecutable(file) {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  },
  async ask(file, args) {
    try {
      const { stdout, stderr } = await execute(file, [...args], { timeout: ASK_TIMEOUT_MS });
      return stdout + stderr;
    } catch {
      return undefined;
    }
  },
};

/** A Java that can run the server: of all that are installed, the first that is new enough. */
export async function findJava(machine: Surroundings = thisMachine): Promise<string> {
  const tooOld: string[] = [];
  for (const java of await javaCandidates(machine)) {
    const version = javaVersion((await machine.ask(java, ["-version"])) ?? "");
    if (version !== undefined && version >= MIN_JAVA) return java;
    if (version !== undefined) tooOld.push(`${java} is Java ${version}`);
  }
  throw new Error(
    [
      `The Conductor server needs Java ${MIN_JAVA} or later${tooOld.length > 0 ? `; ${tooOld.join(", ")}` : ""}.`,
      `Install one (Debian, Ubuntu: openjdk-${MIN_JAVA}-jre-headless; Homebrew: openjdk@${MIN_JAVA}; SDKMAN!: sdk install java),`,
      "or set JAVA_HOME to one.",
    ].join("\n"),
  );
}

async function javaCandidates(machine: Surroundings): Promise<string[]> {
  const { env, home, platform } = machine;
  const below = (folder: string, inside = "bin/java") =>
    // Names are versions: the newest first.
    machine
      .list(folder)
      .toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }))
      .map((name) => path.join(folder, name, inside));
  const ofMac =
    platform === "darwin" ? await machine.ask("/usr/libexec/java_home", ["-F", "-v", `${MIN_JAVA}+`]) : undefined;
  const candidates = [
    ...(env.JAVA_HOME ? [path.join(env.JAVA_HOME, "bin/java")] : []),
    ...onPath("java", env),
    ...(ofMac === undefined ? [] : [path.join(ofMac.trim(), "bin/java")]),
    ...below("/usr/lib/jvm"),
    ...below("/usr/java"),
    ...below("/opt"),
    ...below("/opt/java"),
    ...below(path.join(home, ".sdkman/candidates/java")),
    ...below(path.join(home, ".jdks")),
    ...below("/Library/Java/JavaVirtualMachines", "Contents/Home/bin/java"),
    ...below("/opt/homebrew/opt"),
    ...below("/usr/local/opt"),
  ];
  return [...new Set(candidates)].filter((java) => machine.isExecutable(java));
}

/** The feature version in what `java -version` says: 8 for "1.8.0_402", 21 for "21.0.2". */
export function javaVersion(said: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(said);
  return match === null ? undefined : Number(match[1]);
}

/** A Redis that the server's queues can live in. */
export async function findRedis(machine: Surroundings = thisMachine): Promise<string> {
  const [major, minor] = MIN_REDIS;
  const tooOld: string[] = [];
  const places = [
    ...onPath("redis-server", machine.env),
    "/usr/local/bin/redis-server",
    "/opt/homebrew/bin/redis-server",
  ];
  for (const redis of new Set(places)) {
    if (!machine.isExecutable(redis)) continue;
    const version = redisVersion((await machine.ask(redis, ["--version"])) ?? "");
    if (version === undefined) continue;
    if (version[0] > major || (version[0] === major && version[1] >= minor)) return redis;
    tooOld.push(`${redis} is ${version.join(".")}`);
  }
  throw new Error(
    [
      `Conductor on Redis needs redis-server ${MIN_REDIS.join(".")} or later${tooOld.length > 0 ? `; ${tooOld.join(", ")}` : ""}.`,
      "Install it (Debian, Ubuntu: redis-server; Homebrew: redis), or use --queue sqlite, which needs nothing.",
    ].join("\n"),
  );
}

/** Major and minor in what `redis-server --version` says. */
export function redisVersion(said: string): readonly [major: number, minor: number] | undefined {
  const match = /\bv=(\d+)\.(\d+)/.exec(said);
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}

/** Maven, which fetches the server. */
export function findMaven(machine: Surroundings = thisMachine): string {
  const found = onPath("mvn", machine.env).find((file) => machine.isExecutable(file));
  if (found !== undefined) return found;
  throw new Error(
    [
      "The Conductor server is fetched by Maven, and there is no mvn on the PATH.",
      "Install it (Debian, Ubuntu: maven; Homebrew: maven), or set CONDUCTOR_SERVER_JAR to the server's boot jar.",
    ].join("\n"),
  );
}

function onPath(name: string, env: NodeJS.ProcessEnv): string[] {
  return (env.PATH ?? "")
    .split(path.delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => path.join(folder, name));
}
