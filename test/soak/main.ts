import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { createConductorClient, type ConductorClient, type Workflow } from "../../src/index.js";
import { randomOf } from "../support/chaos/random.js";
import { freePort } from "../support/servers/real-conductor/ports.js";
import { type Chaos, SPARED_PLACE, startChaos } from "./chaos.js";
import { Executions } from "./executions.js";
import { type Finding, findingLines, judge, judgeMemory } from "./judge.js";
import { readOptions, type SoakOptions, USAGE } from "./options.js";
import { startServer } from "./server.js";
import { superviseSoak, type SupervisedWorkers } from "./supervised.js";
import { type Load, startLoad, STEPS, taskDefs, workflowDef } from "./workload.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const PROCESSES = 3;
const START_BOUND_MS = 60_000;
const LOOK_EVERY_MS = 1_000;
const PROGRESS_EVERY_MS = 15_000;
/** Before the end the server is left alone for so long, and then the processes: what was disturbed must come to an end. */
const SPARE_SERVER_MS = 45_000;
const SPARE_PROCESSES_MS = 12_000;
/** From then on all must end; the server takes a minute or two to notice a task that nobody reports on. */
const DRAIN_BOUND_MS = 150_000;
const AT_ONCE = 8;

const RESTARTS = /^worker_restart_total\{reason="(\w+)"\} (\d+)$/gm;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === "help") {
    console.log(USAGE);
    return 0;
  }
  if ("problem" in options) {
    console.error(`${options.problem}\n\n${USAGE}`);
    return 2;
  }
  const folder = path.join(ROOT, ".cache/soak", `${options.seed}`);
  rmSync(folder, { recursive: true, force: true });
  for (const name of ["executions", "journal", "wedged"])
    mkdirSync(path.join(folder, name), { recursive: true, mode: 0o700 });
  console.log(`soak: ${options.minutes} minutes, ${options.queue}, ${PROCESSES} processes, --seed ${options.seed}`);
  try {
    const findings = await soak(options, folder);
    console.log(`\n${findingLines(findings).join("\n")}`);
    if (findings.every(({ isGood }) => isGood ?? true)) {
      rmSync(folder, { recursive: true, force: true });
      return 0;
    }
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
  }
  console.error(`\nfailed; the log of the processes and what they wrote down is in ${path.relative(ROOT, folder)}`);
  return 1;
}

/** Throws when it cannot be carried through. */
async function soak(options: SoakOptions, folder: string): Promise<Finding[]> {
  const over = new AbortController();
  const onSignal = (name: string) => {
    over.abort(new Error(`stopped by ${name}`));
  };
  for (const name of ["SIGINT", "SIGTERM"]) process.once(name, onSignal);
  await using server = await startServer(options.queue, (error) => {
    over.abort(error);
  });
  await using client = createConductorClient({ serverUrl: server.serverUrl });
  await client.metadata.registerTaskDefs(taskDefs);
  await client.metadata.registerWorkflowDefs([workflowDef]);
  const workers = superviseSoak(server.serverUrl, folder, PROCESSES, await freePort());
  const abandon = () => {
    workers.abandon();
  };
  process.once("exit", abandon);
  try {
    const executions = new Executions(path.join(folder, "executions"), STEPS.at(-1)!);
    await until(async () => (await workers.ready().catch(() => [])).length === PROCESSES, START_BOUND_MS, over.signal);
    const load = startLoad(client.workflows, options.rate, () => executions.workflowsThrough);
    const chaos = startChaos({ random: randomOf(options.seed), workers, server, load, folder });
    const run: Run = { options, workers, executions, load, chaos, signal: over.signal };
    const memory = await watch(run);

    console.log(`${load.started.length} workflows were started; waiting for the last of them`);
    const workflows = await drained(client, run);
    const restarts = await restartsOf(workers);
    const exitCode = await workers.stop();
    executions.read();
    const { kept } = chaos;
    return [
      ...disturbances(run, server.disturbance, restarts),
      ...judge({ workflows, executions: executions.all, kept, steps: STEPS }),
      ...memory,
      { name: "exit code of the supervisor", value: String(exitCode), isGood: exitCode === 0 },
    ];
  } finally {
    process.off("exit", abandon);
    abandon();
    for (const name of ["SIGINT", "SIGTERM"]) process.off(name, onSignal);
  }
}

interface Run {
  readonly options: SoakOptions;
  readonly workers: SupervisedWorkers;
  readonly executions: Executions;
  readonly load: Load;
  readonly chaos: Chaos;
  readonly signal: AbortSignal;
}

/** Lets it happen, and looks at the spared process meanwhile. Load and disturbances have ended when it resolves. */
async function watch({ options, workers, executions, load, chaos, signal }: Run): Promise<Finding[]> {
  const spared = (await workers.ready()).find(({ place }) => place === SPARED_PLACE)?.pid ?? 0;
  const startedAt = performance.now();
  const endMs = options.minutes * 60_000;
  let toldAt = 0;
  for (let atMs = 0; atMs < endMs; atMs = performance.now() - startedAt) {
    await sleep(LOOK_EVERY_MS, undefined, { signal });
    if (workers.exitCode !== undefined) throw new Error(`the supervisor has ended (exit code ${workers.exitCode})`);
    executions.read();
    if (endMs - atMs < SPARE_SERVER_MS) chaos.spareServer();
    if (endMs - atMs < SPARE_PROCESSES_MS) await chaos.stop();
    if (atMs - toldAt < PROGRESS_EVERY_MS) continue;
    toldAt = atMs;
    const { killed, terminated, wedged, server } = chaos.counts;
    console.log(
      `${String(Math.round(atMs / 1000)).padStart(5)} s  started ${load.started.length}, through ` +
        `${executions.workflowsThrough}; SIGKILL ${killed}, SIGTERM ${terminated}, wedges ${wedged}, server ${server}; ` +
        `${executions.memory.at(-1)?.residentMib.toFixed(0) ?? "?"} MiB`,
    );
  }
  await chaos.stop();
  await load.stop();
  const isAlive = (await workers.ready()).some(({ place, pid }) => place === SPARED_PLACE && pid === spared);
  return [
    { name: "the spared process is still there", value: isAlive ? "yes" : "no", isGood: isAlive },
    ...judgeMemory(executions.memory.filter(({ pid }) => pid === spared)),
  ];
}

/** All workflows, of which it is known from the server or from an execution, when none runs any more. */
async function drained(client: ConductorClient, { executions, load, signal }: Run): Promise<Workflow[]> {
  const ended = new Map<string, Workflow>();
  const until = performance.now() + DRAIN_BOUND_MS;
  for (;;) {
    executions.read();
    const ids = new Set([...load.started, ...[...executions.all.values()].map((each) => each.workflowInstanceId)]);
    const open = [...ids].filter((id) => !ended.has(id));
    const isLast = performance.now() > until;
    const looks = open.values();
    const look = async (): Promise<void> => {
      for (const id of looks) {
        const workflow = await client.workflows.get(id, { includeTasks: true });
        if (isLast || workflow.status !== "RUNNING") ended.set(id, workflow);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, look));
    if (ended.size === ids.size) return [...ended.values()];
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

async function restartsOf(workers: SupervisedWorkers): Promise<ReadonlyMap<string, number>> {
  const metrics = await workers.metrics();
  return new Map([...metrics.matchAll(RESTARTS)].map(([, reason, value]) => [reason ?? "", Number(value)]));
}

function disturbances({ chaos, load }: Run, disturbance: string, restarts: ReadonlyMap<string, number>): Finding[] {
  const { killed, terminated, wedged, server } = chaos.counts;
  const of = (reason: string) => restarts.get(reason) ?? 0;
  const none = ["crashed", "outOfMemory", "notStarted", "rolled"];
  const others = none.filter((reason) => of(reason) > 0).map((reason) => `${of(reason)} ${reason}`);
  return [
    { name: disturbance, value: String(server) },
    { name: "SIGKILL of a process", value: `${killed}, replaced ${of("killed")}`, isGood: of("killed") <= killed },
    {
      name: "SIGTERM of a process",
      value: `${terminated}, replaced ${of("stopped")}`,
      isGood: of("stopped") <= terminated,
    },
    { name: "tasks that wedge", value: `${wedged}, replaced ${of("wedged")}`, isGood: of("wedged") <= wedged },
    { name: "ends for another reason", value: others.join(", ") || "0", isGood: others.length === 0 },
    { name: "workflows started", value: `${load.started.length}, and ${load.unclear} starts without an answer` },
  ];
}

async function until(condition: () => Promise<boolean>, boundMs: number, signal: AbortSignal): Promise<void> {
  for (const endMs = performance.now() + boundMs; !(await condition()); await sleep(100, undefined, { signal }))
    if (performance.now() > endMs) throw new Error(`the processes were not ready within ${boundMs / 1000} s`);
}
