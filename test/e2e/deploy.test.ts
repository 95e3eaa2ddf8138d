import { execFile } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../src/testing/index.js";
import {
  childrenOf,
  deployApp,
  sampleText,
  startAsInit,
  startCommand,
  stuckOnSignal,
  type DeployedApp,
} from "../support/e2e/deployed.js";
import { envOf, execForm, lastOf, parseDockerfile } from "../support/e2e/dockerfile.js";
import { freePort } from "../support/e2e/prometheus.js";
import { parseUnit } from "../support/e2e/systemd-unit.js";
import type { RunningProcess } from "../support/process/process-harness.js";
import { waitFor } from "../support/time/wait-for.js";

/** The port in the samples. */
const PORT = 9400;
/** Of a worker, until it is ready, in ms. */
const START_BOUND_MS = 15_000;

const unit = parseUnit(sampleText("systemd", "greeter.service"));
const unitEnv = new Map(unit.get("Service.Environment")!.map((each) => each.split("=") as [string, string]));
const image = parseDockerfile(sampleText("docker", "Dockerfile")).at(-1)!;

let app: DeployedApp;
let conductor: EmbeddedConductor;
let stateDirectory: string;
let started: RunningProcess[] = [];
let adminPort: number;
let folders = 0;

describe("the app of samples/deploy", () => {
  beforeAll(async () => {
    app = await deployApp();
    conductor = await startEmbeddedConductor();
    await conductor.registerTaskDefs([
      { name: "greet", retryCount: 2, retryDelaySeconds: 0, responseTimeoutSeconds: 60 },
    ]);
    await conductor.registerWorkflowDef({
      name: "greeting",
      tasks: [
        {
          name: "greet",
          taskReferenceName: "greet",
          inputParameters: { name: "${workflow.input.name}", seconds: "${workflow.input.seconds}" },
        },
      ],
      outputParameters: { message: "${greet.output.message}" },
    });
  }, 120_000);

  afterEach(async () => {
    for (const each of started) await each.kill();
    started = [];
  });

  afterAll(async () => {
    await conductor?.close();
    app?.remove();
  });

  test("the Dockerfile leaves nothing but the worker and what it depends on in the image", () => {
    expect(existsSync(path.join(app.folder, "worker.mjs"))).toBe(true);
    expect(existsSync(path.join(app.folder, "node_modules/ostinato/dist/index.js"))).toBe(true);
    expect(existsSync(path.join(app.folder, "package.json"))).toBe(false);
  });

  describe.sequential("the worker", () => {
    test("runs plainly until SIGTERM, and finishes what it has begun", async () => {
      const worker = startCommand(readmeCommand("node worker.mjs"), await place({}));
      started.push(worker);
      await expectDrain(worker, () => worker.signal("SIGTERM"));
      expect(modeOfJournal()).toBe("700");
    });

    test("runs supervised as the README has it", async () => {
      const command = ["node", ...readmeCommand("node_modules/.bin/ostinato run")];
      const port = await freePort();
      const supervisor = startCommand(
        command.map((word) => (word === String(PORT) ? String(port) : word)),
        await place({ CONDUCTOR_WORKER_ADMIN_PORT: undefined }),
      );
      started.push(supervisor);
      adminPort = port;
      await expectDrain(supervisor, () => supervisor.signal("SIGTERM"));
    });

    test("runs as the systemd unit has it: a process is replaced, a reload replaces all, SIGTERM reaches only the first", async () => {
      const [line = ""] = unit.get("Service.ExecStart")!;
      const supervisor = startCommand(line.split(" "), await place(Object.fromEntries(unitEnv)));
      started.push(supervisor);
      await isReady();
      const [first, second] = await processes(supervisor.pid);
      process.kill(first!, "SIGKILL");
      const [, third] = await processes(supervisor.pid, [first!]);
      await isReady();
      expect(unit.get("Service.ExecReload")![0]).toBe("/bin/kill -HUP $MAINPID");
      supervisor.signal("SIGHUP");
      await processes(supervisor.pid, [first!, second!, third!]);
      await isReady();
      await expectDrain(supervisor, () => supervisor.signal("SIGTERM"));
    });
  });

  describe.sequential("as PID 1, with the command of the image", () => {
    const command = execForm(lastOf(image, "CMD")!);

    test("it is healthy, drains at SIGTERM, and exits with 0", async () => {
      const { keeper, pid } = await startAsInit(command, await place(envOf(image)));
      started.push(keeper);
      await isReady();
      const probe = execForm(lastOf(image, "HEALTHCHECK")!);
      expect(await exitCodeOf(probe, adminPort)).toBe(0);
      await expectDrain(keeper, () => process.kill(pid, "SIGTERM"));
      expect(await exitCodeOf(probe, adminPort)).toBe(1);
    });

    test("it ends itself with 70 when it is stuck, while signals to oneself do nothing", async () => {
      const { keeper, pid } = await startAsInit(command, await place({ ...envOf(image), ...stuckSoon() }));
      started.push(keeper);
      await isReady();
      process.kill(pid, "SIGUSR2");
      expect(await keeper.waitForExit(20_000), keeper.output).toEqual({ code: 70, signal: null });
      expect(keeper.stderr.join("\n")).toMatch(/stuck-on-signal\.mjs/);
    });

    test("a supervisor is it, replaces a process that is stuck, and drains at SIGTERM", async () => {
      const said = /^# .* CMD (\["node".*\])\.$/m.exec(sampleText("docker", "Dockerfile"))?.[1] ?? "";
      const { keeper, pid } = await startAsInit(execForm(said), await place({ ...envOf(image), ...stuckSoon() }));
      started.push(keeper);
      await isReady();
      const [stuck] = await processes(pid, [], 1);
      process.kill(stuck!, "SIGUSR2");
      await processes(pid, [stuck!], 1);
      await isReady();
      await expectDrain(keeper, () => process.kill(pid, "SIGTERM"));
    });
  });
});

/** Where a sample's command runs: its environment, with a server, a free port and a folder instead of the real ones. */
async function place(env: Readonly<Record<string, string | undefined>>) {
  adminPort = await freePort();
  stateDirectory = path.join(app.root, `state-${folders++}`);
  mkdirSync(stateDirectory);
  return {
    cwd: app.folder,
    env: {
      CONDUCTOR_WORKER_ADMIN_PORT: String(adminPort),
      ...withoutPort(env),
      CONDUCTOR_SERVER_URL: conductor.serverUrl,
      STATE_DIRECTORY: stateDirectory,
      // A drain waits for the poll under way.
      CONDUCTOR_WORKER_ALL_POLL_TIMEOUT: "500",
    },
  };
}

function withoutPort(env: Readonly<Record<string, string | undefined>>) {
  return Object.fromEntries(
    Object.entries(env).filter(([name, value]) => name !== "CONDUCTOR_WORKER_ADMIN_PORT" || value === undefined),
  );
}

/** A stall timeout of 5 s, in which a poll has to fit, and a signal that makes it pass. */
function stuckSoon(): Record<string, string> {
  return {
    CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS: "5",
    CONDUCTOR_REQUEST_TIMEOUT_MS: "1000",
    NODE_OPTIONS: stuckOnSignal(app.root),
  };
}

async function isReady(): Promise<void> {
  await waitFor(async () => (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).ok, {
    boundMs: START_BOUND_MS,
    everyMs: 50,
    what: () => `ready; there is:\n${started.at(-1)?.output ?? ""}`,
  });
}

/** Asks it to stop in the middle of a task; the task has to be COMPLETED, the exit code 0, and nothing misread. */
async function expectDrain(worker: RunningProcess, stop: () => unknown): Promise<void> {
  await isReady();
  const workflowId = await conductor.startWorkflow({ name: "greeting", input: { name: "Ada", seconds: 1.5 } });
  const isRunning = async () => (await conductor.workflow(workflowId)).tasks?.[0]?.status === "IN_PROGRESS";
  await waitFor(isRunning, { what: "the task runs", everyMs: 20 });
  stop();
  expect(await worker.waitForExit(15_000), worker.output).toEqual({ code: 0, signal: null });
  expect(await conductor.workflow(workflowId)).toMatchObject({
    status: "COMPLETED",
    output: { message: "Hello Ada" },
    tasks: [{ retryCount: 0, status: "COMPLETED" }],
  });
  expect(worker.output).not.toMatch(/is not read|is ignored|may write to the journal/);
}

/** Waits until a supervisor has its processes, and none of those that are to be gone. */
function processes(supervisorPid: number, gone: readonly number[] = [], count = 2): Promise<number[]> {
  return waitFor(
    () => {
      const now = childrenOf(supervisorPid);
      return now.length === count && !now.some((pid) => gone.includes(pid)) ? now : undefined;
    },
    { boundMs: 20_000, everyMs: 50, what: () => `${count} processes, none of ${gone.join(", ")}` },
  );
}

/** A command that the README shows, without the variables before it. */
function readmeCommand(words: string): string[] {
  const line = sampleText("README.md")
    .split("\n")
    .find((each) => each.startsWith("CONDUCTOR_SERVER_URL=") && each.includes(` ${words}`));
  if (line === undefined) throw new Error(`the README does not run ${words}`);
  return line.split(" ").filter((word) => !/^[A-Z_]+=/.test(word));
}

function modeOfJournal(): string {
  return (statSync(path.join(stateDirectory, "journal")).mode & 0o777).toString(8);
}

function exitCodeOf([node, ...args]: readonly string[], port: number): Promise<number> {
  expect(node).toBe("node");
  return new Promise((resolve) => {
    const env = { ...process.env, CONDUCTOR_WORKER_ADMIN_PORT: String(port) };
    execFile(process.execPath, args, { env, timeout: 10_000 }, (error) => {
      resolve(error === null ? 0 : Number(error.code ?? -1));
    });
  });
}
