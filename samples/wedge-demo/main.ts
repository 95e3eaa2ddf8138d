import { type EmbeddedConductor, startEmbeddedConductor } from "ostinato/testing";
import { hasColours, widthOf } from "../order-fulfilment/progress.js";
import { type Played, play } from "./play.js";
import { COLOURED, type Fact, factLines, legend, PLAIN, rateLine, time, toldLines } from "./story.js";
import { COMMAND, STALL_TIMEOUT_SECONDS, startSupervised, type Supervised } from "./supervised.js";
import { taskDef, workflowDef } from "./workflow.js";

// Shows in a terminal what becomes of a worker process that gets stuck: `npm run demo:wedge`.

const { stdout, stderr, env } = process;
// Whoever reads us may stop reading (`| head`).
stdout.on("error", () => undefined);
const palette = hasColours(stdout, env) || env.FORCE_COLOR === "1" ? COLOURED : PLAIN;
const width = widthOf(stdout);

process.exitCode = await main();

async function main(): Promise<number> {
  const stopped = new AbortController();
  let wasStopped = false;
  const onSignal = (name: string): void => {
    wasStopped = true;
    stopped.abort(new Error(`stopped by ${name}`));
  };
  for (const name of ["SIGINT", "SIGTERM"]) process.once(name, onSignal);
  const conductor = await startEmbeddedConductor({ ownProcess: true });
  let supervised: Supervised | undefined;
  const abandon = () => supervised?.abandon();
  process.once("exit", abandon);
  try {
    await conductor.registerTaskDefs([taskDef]);
    await conductor.registerWorkflowDef(workflowDef);
    say(`A small Conductor runs in process ${conductor.pid}.`, `$ ostinato ${COMMAND.join(" ")}`);
    const startedAt = Date.now();
    const second = (atMs = Date.now()) => (atMs - startedAt) / 1000;
    supervised = startSupervised(conductor.serverUrl, (told) => {
      if (!stopped.signal.aborted) say(...toldLines(told, second(told.atMs), width, palette));
    });
    const played = await play({
      conductor,
      supervised,
      startedAt,
      signal: stopped.signal,
      onBothReady: (pids) => {
        say("", legend(palette, pids), "");
      },
      onSecond: (end, counts) => {
        say(rateLine(end, counts, palette));
      },
      onPoison: () => {
        say(`${time(second())}  ${palette.bad("in comes a text that the worker's regular expression never finishes")}`);
      },
    });
    stopped.abort(); // What it tells from here on is about its stop.
    const exitCode = await supervised.stop();
    const facts = [...(await factsOf(played, conductor)), fact("exit code of the supervisor", exitCode, 0)];
    say("", ...factLines(facts, width, palette));
    return facts.every(({ isGood }) => isGood ?? true) ? 0 : 1;
  } catch (error) {
    stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    if (!wasStopped && supervised !== undefined) stderr.write(`${supervised.tail.join("\n")}\n`);
    stopped.abort();
    await supervised?.stop();
    return wasStopped ? 130 : 1;
  } finally {
    process.off("exit", abandon);
    abandon();
    await conductor.close();
  }
}

async function factsOf(played: Played, conductor: EmbeddedConductor): Promise<Fact[]> {
  const { workflows, violations } = await conductor.audit();
  const { tasks = [] } = await conductor.workflow(played.poisonWorkflowId);
  const attempts = tasks.map(({ status }) => status).join(", then ");
  const { before, lowest, after } = played.rate;
  const rates = [before, lowest, after].map((rate) => Math.round(rate));
  const twice = violations.reportedMoreThanOnce.length + violations.handedOutTwice.length;
  return [
    {
      name: "from the wedge to the process's end",
      value: `${seconds(played.wedgeToDeathMs)} (stall timeout ${STALL_TIMEOUT_SECONDS} s)`,
    },
    { name: "until another process polls", value: seconds(played.deathToReplacementMs) },
    {
      name: "until its tasks run elsewhere",
      value: `${seconds(played.deathToLastEndedMs)} (${played.inHand} tasks; else: 1 hour)`,
    },
    fact("the task that wedged", attempts, "FAILED, then COMPLETED"),
    { name: "tasks per second", value: `${rates[0]} before, ${rates[1]} at the lowest, ${rates[2]} after` },
    fact(
      "workflows completed",
      `${workflows.COMPLETED ?? 0} of ${played.workflows}`,
      `${played.workflows} of ${played.workflows}`,
    ),
    fact("tasks lost, by the server's ledger", violations.lost.length, 0),
    fact("tasks done twice", twice, 0),
  ];
}

function fact(name: string, value: string | number, wanted: string | number): Fact {
  return { name, value: String(value), isGood: value === wanted };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function say(...lines: readonly string[]): void {
  stdout.write(`${lines.join("\n")}\n`);
}
