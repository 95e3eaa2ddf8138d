import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findRedis } from "./find-program.js";
import { startGuarded, type GuardedProcess } from "./guarded-process.js";
import { freePort, LOOPBACK } from "./ports.js";

const BOOT_TIMEOUT_MS = 15_000;
const STOP_GRACE_MS = 2_000;
const ASK_TIMEOUT_MS = 1_000;

export interface Redis {
  readonly port: number;
  readonly process: GuardedProcess;
  close(): Promise<void>;
}

/** A Redis of our own: nothing is read from this machine's configuration, and nothing is kept. */
export async function startRedis(): Promise<Redis> {
  const command = await findRedis();
  const port = await freePort();
  const folder = await mkdtemp(path.join(tmpdir(), "ostinato-redis-"));
  const args = ["--port", `${port}`, "--bind", LOOPBACK, "--dir", folder, "--save", "", "--appendonly", "no"];
  const redis = await startGuarded({ command, args, folder, logFile: path.join(folder, "log") });
  const close = async () => {
    await redis.end(STOP_GRACE_MS);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const giveUpAt = performance.now() + BOOT_TIMEOUT_MS;
    while (!(await answersPing(port))) {
      if (!redis.running || performance.now() > giveUpAt) {
        throw new Error(`Redis does not answer. It said last:\n${redis.lastLines(10).join("\n")}`);
      }
      await sleep(50);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { port, process: redis, close };
}

function answersPing(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: LOOPBACK }, () => socket.write("PING\r\n"));
    const settle = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(ASK_TIMEOUT_MS, () => {
      settle(false);
    });
    socket.once("data", (data) => {
      settle(data.toString().startsWith("+PONG"));
    });
    socket.once("error", () => {
      settle(false);
    });
    socket.once("close", () => {
      settle(false);
    });
  });
}
