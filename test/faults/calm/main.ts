/**
 * No false alarm: workers that are healthy and look stuck, all at the same time, for minutes. None may be ended by its
 * watchdog, and each works at the end.
 *
 *     npm run test:calm -- --minutes 30 --only heap,blocks
 */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startProcess } from "../../support/process/process-harness.js";
import { startBottomlessServer } from "./bottomless-server.js";
import { finishesAnother, SCENARIOS, type Scenario } from "./scenarios.js";

interface Verdict {
  readonly scenario: Scenario;
  readonly problem: string | undefined;
  readonly finished: number;
  readonly rounds: number;
}

async function run(scenario: Scenario, endAt: number): Promise<Verdict> {
  const server = await startBottomlessServer();
  const child = startProcess({
    script: fileURLToPath(new URL("calm-worker.mjs", import.meta.url)),
    nodeArgs: scenario.nodeArgs ?? [],
    args: [scenario.name, server.serverUrl, String(scenario.stallTimeoutSeconds)],
  });
  let rounds = 0;
  let problem: string | undefined;
  try {
    await child.waitForLine(/concurrency=/, 30_000);
    while (performance.now() < endAt && child.running) {
      await scenario.disturb(child, server);
      rounds += 1;
    }
    if (scenario.finishesTasks !== false) await finishesAnother(server);
    if (!child.running) throw new Error("the process has ended");
    child.signal("SIGTERM");
    // A second one cuts the drain short; one that has drained listens no more.
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    if (!child.output.includes("ran to the end")) child.signal("SIGTERM");
    const end = await child.waitForExit(60_000);
    if (end.code !== 0) throw new Error(`exit code ${String(end.code)}, signal ${String(end.signal)}`);
    if (/"stall"|a loop is stuck/.test(child.output)) throw new Error("a stall was reported");
  } catch (error) {
    problem = `${error instanceof Error ? error.message : String(error)}\n${child.output.slice(-4_000)}`;
  } finally {
    await child.kill();
    await server.close();
  }
  return { scenario, problem, finished: server.completed, rounds };
}

const { values } = parseArgs({
  options: { minutes: { type: "string", default: "3" }, only: { type: "string", default: "" } },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) throw new RangeError(`--minutes must be a number above 0, got ${values.minutes}`);
const only = values.only.split(",").filter((name) => name !== "");
const unknown = only.find((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown !== undefined)
  throw new RangeError(`--only: ${unknown} is none of ${SCENARIOS.map(({ name }) => name).join(", ")}`);
const chosen = SCENARIOS.filter(({ name }) => only.length === 0 || only.includes(name));

// What was started ends with this process, if that exits.
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => process.exit(1));

const endAt = performance.now() + minutes * 60_000;
console.log(`${chosen.length} healthy workers for ${minutes} minutes; none may be ended by its watchdog`);
const verdicts = await Promise.all(chosen.map((scenario) => run(scenario, endAt)));
for (const { scenario, problem, finished, rounds } of verdicts) {
  const { name, what } = scenario;
  console.log(
    `${problem === undefined ? "calm  " : "ALARM "} ${name}: ${what}; ${rounds} rounds, ${finished} tasks finished`,
  );
  if (problem !== undefined) console.log(problem);
}
if (verdicts.some(({ problem }) => problem !== undefined)) process.exitCode = 1;
