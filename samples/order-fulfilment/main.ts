import { createConductorClient, type Logger, TaskHandler } from "ostinato";
import { type Audit, type EmbeddedConductor, startEmbeddedConductor } from "ostinato/testing";
import { keepAccounts } from "./accounts.js";
import { type Options, readOptions, USAGE } from "./options.js";
import { type OrderCounts, runOrders } from "./orders.js";
import { clip, createProgress, hasColours, type Progress, widthOf } from "./progress.js";
import { COLOURED, isFlawless, type Outcome, PLAIN, reportLines } from "./report.js";
import { workers } from "./workers.js";
import { taskDefs, workflowDef } from "./workflow.js";

/**
 * When no order has ended for this long, something is wrong that waiting will not mend. A server that was killed needs
 * its boot, and more than a minute to notice what nobody reported meanwhile.
 */
const PATIENCE_MS = 240_000;
const REFRESH_EVERY_MS = 100;
const DRAIN_TIMEOUT_MS = 10_000;
/** A terminal's Ctrl-C may arrive twice, by way of npm; what comes later is meant. */
const SAME_SIGNAL_MS = 2_000;
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const;

const { stdout, stderr, env } = process;
// Whoever reads us may stop reading (`| head`); the orders go on.
stdout.on("error", () => undefined);

process.exitCode = await main();

async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2));
  if (options === "help") {
    say(USAGE);
    return 0;
  }
  if ("problem" in options) {
    stderr.write(`${options.problem}\n\n${USAGE}\n`);
    return 2;
  }
  const ownUrl = env.CONDUCTOR_SERVER_URL?.trim() ?? "";
  const conductor = ownUrl === "" ? await startEmbeddedConductor({ ownProcess: true }) : undefined;
  try {
    return await fulfil(options, conductor, conductor?.serverUrl ?? ownUrl);
  } catch (error) {
    stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  } finally {
    await conductor?.close();
  }
}

async function fulfil(options: Options, conductor: EmbeddedConductor | undefined, serverUrl: string): Promise<number> {
  say(`Conductor at ${serverUrl}`);
  if (conductor !== undefined) say(`(embedded, process ${conductor.pid}; set CONDUCTOR_SERVER_URL to use yours)`);
  say(`${options.workflows} orders, five tasks each`);

  await using client = createConductorClient({ serverUrl });
  await client.metadata.registerTaskDefs(taskDefs);
  await client.metadata.registerWorkflowDefs([workflowDef]);

  const progress = createProgress(stdout, stderr, env);
  const handler = new TaskHandler({ serverUrl, workers, logger: quietLogger(progress) });
  const accounts = keepAccounts(handler);
  const counts: OrderCounts = { total: options.workflows, started: 0, completed: 0, endedBadly: new Map() };
  const startedAt = performance.now();
  let endedAt: number | undefined;
  const elapsedMs = () => (endedAt ?? performance.now()) - startedAt;
  const state = () => {
    const failed = [...counts.endedBadly.values()].reduce((sum, n) => sum + n, 0);
    const { total, completed } = counts;
    return { total, completed, failed, tasks: accounts.tasksCompleted, elapsedMs: elapsedMs() };
  };

  await handler.start();
  const interruption = interruptible(handler, progress);
  const refresh = setInterval(() => {
    progress.update(state());
  }, REFRESH_EVERY_MS);
  try {
    const { workflows } = client;
    const { signal, postpone: onEnded } = interruption;
    const note = (line: string) => {
      progress.note(line);
    };
    await runOrders({ handler, workflows, counts, signal, onEnded, note }).catch(interruption.fail);
    // What follows, the polls that are still held, is not the orders' time.
    endedAt = performance.now();
    await handler.stop({ drainTimeoutMs: DRAIN_TIMEOUT_MS });
    progress.finish(state());

    const outcome: Outcome = {
      counts,
      accounts,
      audit: await auditOf(conductor),
      elapsedMs: elapsedMs(),
      interruption: interruption.reason,
    };
    const palette = hasColours(stdout, env) ? COLOURED : PLAIN;
    stdout.write(`${reportLines(outcome, widthOf(stdout), palette).join("\n")}\n`);
    return interruption.exitCode ?? (isFlawless(outcome) ? 0 : 1);
  } finally {
    clearInterval(refresh);
    await handler.stop({ drainTimeoutMs: 0 });
    interruption.close();
  }
}

interface Interruption {
  readonly signal: AbortSignal;
  /** What to say about it; `undefined` when nothing came between. */
  readonly reason: string | undefined;
  readonly exitCode: number | undefined;
  /** There was progress: patience begins anew. */
  postpone(this: void): void;
  /** Going on makes no sense; what is known is reported all the same. */
  fail(this: void, error: unknown): void;
  close(): void;
}

/** Ends the run early on Ctrl-C and SIGTERM (what runs is finished; a second signal cuts that short), or for lack of progress. */
function interruptible(handler: TaskHandler, progress: Progress): Interruption {
  const controller = new AbortController();
  let reason: string | undefined;
  let exitCode: number | undefined;
  let signalledAt: number | undefined;

  const onSignal = (name: keyof typeof EXIT_CODES): void => {
    const now = performance.now();
    if (signalledAt === undefined) {
      signalledAt = now;
      reason = `Stopped by ${name}; orders under way are left to the server.`;
      exitCode = EXIT_CODES[name];
      progress.note(`${name}: finishing what runs; once more to cut it short`);
      controller.abort();
      // The tasks that run need the handler, not the orders.
      void handler.stop({ drainTimeoutMs: DRAIN_TIMEOUT_MS });
    } else if (now - signalledAt >= SAME_SIGNAL_MS) {
      void handler.stop({ drainTimeoutMs: 0 });
    }
  };
  const giveUp = (why: string): void => {
    reason ??= why;
    exitCode ??= 1;
    controller.abort();
  };
  const patience = setTimeout(() => {
    giveUp(`No order has ended for ${PATIENCE_MS / 1000} s: giving up.`);
  }, PATIENCE_MS);
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    signal: controller.signal,
    get reason() {
      return reason;
    },
    get exitCode() {
      return exitCode;
    },
    postpone: () => {
      patience.refresh();
    },
    fail: (error) => {
      giveUp(`Gave up: ${error instanceof Error ? error.message : String(error)}`);
    },
    close() {
      clearTimeout(patience);
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}

/** Only what somebody should know. A failure that is tried again is in the table. */
function quietLogger(progress: Progress): Logger {
  const note = (fields: object, message: string): void => {
    if ("terminal" in fields && fields.terminal === false) return;
    const cause = "err" in fields && fields.err instanceof Error ? `: ${fields.err.message}` : "";
    progress.note(`${message}${cause}`.replace(/\s+/g, " "));
  };
  const nothing = (): void => undefined;
  return { debug: nothing, info: nothing, warn: note, error: note };
}

async function auditOf(conductor: EmbeddedConductor | undefined): Promise<Audit | undefined> {
  try {
    return await conductor?.audit();
  } catch {
    // Its process went with the signal that stopped us; our own books are left.
    return undefined;
  }
}

function say(text: string): void {
  const width = widthOf(stdout);
  for (const line of text.split("\n")) stdout.write(`${clip(line, width)}\n`);
}
