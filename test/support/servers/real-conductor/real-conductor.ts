import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findJava } from "./find-program.js";
import { startGuarded, type GuardedProcess } from "./guarded-process.js";
import { freePort, isFree, LOOPBACK } from "./ports.js";
import { startRedis, type Redis } from "./redis.js";
import { serverJar } from "./server-jar.js";

/** Where the server keeps its queues, and everything else. */
export type RealQueue = "sqlite" | "redis";

export interface RealConductorOptions {
  readonly queue: RealQueue;
  /** Default 0: any that is free. */
  readonly port?: number;
  /**
   * Lets the server's own repair service run. Without it a server that is killed between writing a system task (a JOIN)
   * and queueing it never looks at that task again. Default false, as the server's.
   */
  readonly repairsItself?: boolean;
  /** Told what begins: fetching the server, starting Redis, starting the server. */
  readonly onProgress?: (step: string) => void;
  /** Told when the server, or its Redis, ends without having been asked to. */
  readonly onDeath?: (error: Error) => void;
  /** Gives up starting, and cleans up; rejects with its reason. */
  readonly signal?: AbortSignal;
}

/** A Conductor server with a database of its own, which goes with it. */
export interface RealConductor extends AsyncDisposable {
  /** Ends in `/api`. */
  readonly serverUrl: string;
  readonly queue: RealQueue;
  /** Of the Java process; another one after `restart()`. */
  readonly pid: number;
  /** Ends the server by `signal` (default SIGKILL), and starts it again on the same port and database. */
  restart(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** User and system time of the Java process that runs now, in ms. Linux only. */
  cpuMs(): number;
  /** Ends everything, and removes the database. May be called twice. */
  close(): Promise<void>;
}

/** It takes 16 to 20 s on two cores; a busy machine needs longer. */
const BOOT_TIMEOUT_MS = 180_000;
const HEALTH_EVERY_MS = 200;
const HEALTH_TIMEOUT_MS = 2_000;
/** Its database goes with it, so there is nothing to wait for but its order. */
const STOP_GRACE_MS = 5_000;
const LINES_SHOWN = 25;
/** The kernel reports CPU time to user programs in hundredths of a second, on every architecture that runs Node. */
const MS_PER_TICK = 10;

/** Fetches the server where needed, starts it, and resolves when it is healthy. */
export async function startRealConductor(options: RealConductorOptions): Promise<RealConductor> {
  const { queue, onProgress = () => undefined, onDeath = () => undefined, signal } = options;
  if (process.platform === "win32") throw new Error("the Conductor server can be started on Linux and macOS only");
  const port = await portFor(options.port ?? 0);
  const java = await findJava();
  const jar = await serverJar({ env: process.env, onProgress, signal });
  signal?.throwIfAborted();

  const folder = await mkdtemp(path.join(tmpdir(), "ostinato-conductor-"));
  let redis: Redis | undefined;
  let server: GuardedProcess | undefined;
  /** While it is being restarted or closed, an end is no death. */
  let endIsExpected = false;
  let closing: Promise<void> | undefined;

  const reportDeath = (what: string, of: GuardedProcess): void => {
    void of.exited.then((code) => {
      if (!endIsExpected && closing === undefined) onDeath(died(what, code, of));
    });
  };

  const repair = options.repairsItself === true ? ["--conductor.workflow-repair-service.enabled=true"] : [];
  const boot = async (): Promise<void> => {
    const args = ["-Xmx1g", "-jar", jar, ...serverFlags(port, folder, redis), ...repair];
    const booting = await startGuarded({ command: java, args, folder, logFile: path.join(folder, "server.log") });
    server = booting;
    // An order to close, or an abort, may have come before there was a process to end.
    if (closing !== undefined || signal?.aborted) booting.signal("SIGKILL");
    await healthy(booting, port);
    reportDeath("The Conductor server", booting);
  };

  const end = async (): Promise<void> => {
    await server?.end(STOP_GRACE_MS);
    await redis?.close();
    await rm(folder, { recursive: true, force: true });
  };
  const close = (): Promise<void> => (closing ??= end());

  const onAbort = (): void => {
    server?.signal("SIGKILL");
  };
  signal?.addEventListener("abort", onAbort);
  try {
    if (queue === "redis") {
      onProgress("starting Redis");
      redis = await startRedis();
      reportDeath("Redis", redis.process);
    }
    onProgress(`starting Conductor on ${queue === "redis" ? "Redis" : "SQLite"}`);
    await boot();
  } catch (error) {
    await close();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener("abort", onAbort);
  }

  const running = (): GuardedProcess => {
    if (!server?.running) throw new Error("the Conductor server does not run");
    return server;
  };
  return {
    serverUrl: `http://${LOOPBACK}:${port}/api`,
    queue,
    get pid() {
      return running().pid;
    },
    async restart(by = "SIGKILL") {
      endIsExpected = true;
      try {
        if (by === "SIGTERM") await server?.end(STOP_GRACE_MS);
        else server?.signal(by);
        await server?.exited;
        if (closing !== undefined) throw new Error("the Conductor server was closed");
        await boot();
      } finally {
        endIsExpected = false;
      }
    },
    cpuMs: () => cpuMsOf(running().pid),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function portFor(wanted: number): Promise<number> {
  if (wanted === 0) return freePort();
  // Otherwise we would take the health of whoever has it for ours.
  if (!(await isFree(wanted))) throw new Error(`port ${wanted} is in use; choose another`);
  return wanted;
}

function serverFlags(port: number, folder: string, redis: Redis | undefined): string[] {
  const common = [
    `--server.port=${port}`,
    `--server.address=${LOOPBACK}`,
    "--conductor.integrations.ai.enabled=false",
    "--conductor.scheduler.enabled=false",
    // Otherwise a task that exceeds its definition's concurrency limit is hidden for a minute.
    "--conductor.app.taskExecutionPostponeDuration=1s",
  ];
  if (redis === undefined) {
    const database = path.join(folder, "conductor.db");
    // Nothing here must survive the machine, only the process.
    return [
      ...common,
      `--spring.datasource.url=jdbc:sqlite:${database}?busy_timeout=15000&journal_mode=WAL&synchronous=OFF`,
    ];
  }
  return [
    ...common,
    "--conductor.db.type=redis_standalone",
    "--conductor.queue.type=redis_standalone",
    `--conductor.redis.hosts=${LOOPBACK}:${redis.port}:us-east-1c`,
    "--conductor.redis.workflowNamespacePrefix=conductor",
    "--conductor.redis.queueNamespacePrefix=conductor_queues",
    // Otherwise a changed task definition is seen a minute later.
    "--conductor.redis.taskDefCacheRefreshInterval=1",
    "--conductor.indexing.enabled=false",
    "--conductor.indexing.type=none",
    "--conductor.workflow-execution-lock.type=local_only",
  ];
}

async function healthy(server: GuardedProcess, port: number): Promise<void> {
  const giveUpAt = performance.now() + BOOT_TIMEOUT_MS;
  for (;;) {
    if (!server.running) throw died("The Conductor server", await server.exited, server);
    if (await isHealthy(port)) return;
    if (performance.now() > giveUpAt) {
      const said = server.lastLines(LINES_SHOWN).join("\n");
      throw new Error(`The Conductor server is not healthy after ${BOOT_TIMEOUT_MS / 1000} s. It said last:\n${said}`);
    }
    await Promise.race([sleep(HEALTH_EVERY_MS), server.exited]);
  }
}

async function isHealthy(port: number): Promise<boolean> {
  try {
    const answer = await fetch(`http://${LOOPBACK}:${port}/health`, { signal: AbortSignal.timeout(HEALTH_TIMEOUT_MS) });
    const body: unknown = await answer.json();
    return answer.ok && typeof body === "object" && body !== null && "healthy" in body && body.healthy === true;
  } catch {
    return false;
  }
}

function died(what: string, code: number, of: GuardedProcess): Error {
  return new Error(`${what} has ended (exit code ${code}). It said last:\n${of.lastLines(LINES_SHOWN).join("\n")}`);
}

function cpuMsOf(pid: number): number {
  // The second field is the program's name, in brackets, and may contain anything.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}
