import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePort, type Prometheus, type Sample, startPrometheus } from "../support/e2e/prometheus.js";
import { lines, QUICK_STALL, type Supervised, withSupervisor } from "../support/supervisor/with-supervisor.js";
import { waitFor } from "../support/time/wait-for.js";

/** A child that hangs delays the answer by a second: a scrape that waits no longer than that would be lost. */
const SCRAPE_SECONDS = 2;
const BOUND_MS = 60_000;
const SEEN_BOUND_MS = 20_000;
const TASK_EVERY_MS = 50;
/** How many scrapes there have to be before the wedge, and after the replacement. */
const SCRAPES = 3;
/** All that the test lasts. */
const WINDOW = "[60s]";
/** Counters, and what histograms count. */
const CUMULATIVE = '{job="ostinato",process=~"0|1",__name__=~".+_(total|count|sum|bucket)"}';
const GAUGES = "worker_last_poll_age_seconds";

let port: number;
let prometheus: Prometheus;

describe("supervised processes that Prometheus scrapes", () => {
  beforeAll(async () => {
    port = await freePort();
    prometheus = await startPrometheus({ port, factor: 15, scrapeSeconds: SCRAPE_SECONDS });
  });

  afterAll(async () => {
    await prometheus?.stop();
  });

  test(
    "of two processes behind a supervisor one wedges and is replaced: the other's series have no gap, and none falls",
    // Without retries: what wedges one process does not go on to wedge the other.
    () =>
      withSupervisor(
        { args: ["--processes", "2", "--admin-port", String(port)], handler: QUICK_STALL, retryCount: 0 },
        async (supervised) => {
          await supervised.ready(2);
          const flow = keepBusy(supervised);
          try {
            await seen(`count(count_over_time(task_execution_started_total${WINDOW}) >= ${SCRAPES}) == 2`);
            const before = await scrapes();
            await supervised.task({ act: "spin" });
            await supervised.ready(3, 20_000);
            await seen('worker_restart_total{reason="wedged"} == 1');
            const replaced = await scrapes();
            expect(replaced - before, "scrapes while it was stuck").toBeGreaterThanOrEqual(2);
            await seen(`count_over_time(up{job="ostinato"}${WINDOW}) >= ${replaced + SCRAPES}`);
          } finally {
            await flow.stop();
          }
          const [death] = lines(supervised.primary, "a worker process has ended") as {
            process: number;
            reason: string;
          }[];
          expect(death?.reason).toBe("wedged");
          const wedged = death!.process;
          const other = 1 - wedged;

          // From the first scrape that was answered on, each was.
          const [up] = await raw('up{job="ostinato"}');
          expect(up?.values.slice(up.values.indexOf(1))).not.toContain(0);

          // Neither while the process was stuck, nor when it was gone, nor when the new one began at 0.
          const cumulative = await raw(CUMULATIVE);
          expect(new Set(cumulative.map(({ labels }) => labels.process))).toEqual(new Set(["0", "1"]));
          expect(cumulative.length).toBeGreaterThan(50);
          expect(cumulative.filter(falls).map(nameOf)).toEqual([]);
          expect(await prometheus.query(`resets(task_execution_started_total${WINDOW}) > 0`)).toEqual([]);
          expect(
            await prometheus.query(`min_over_time(idelta(task_execution_started_total[5s])${SUB_QUERY}) < 0`),
          ).toEqual([]);
          // Nor does it jump: nobody executes more than is started, and the wedged one is behind.
          const rates = await prometheus.query(`max_over_time(rate(task_execution_started_total[6s])${SUB_QUERY})`);
          expect(rates).toHaveLength(2);
          for (const { values } of rates) expect(values[0]).toBeLessThan((2 * 1000) / TASK_EVERY_MS);

          const gapsOf = async (name: string, process: number): Promise<number> => {
            const [series] = await raw(`${name}{job="ostinato",process="${process}"}`);
            const from = series?.times[0] ?? -Infinity;
            return up!.times.filter((time) => time >= from).length - (series?.times.length ?? 0);
          };
          for (const name of ["task_execution_started_total", "task_poll_total", GAUGES])
            expect(await gapsOf(name, other), `${name} of the other`).toBe(0);
          expect(await gapsOf("task_execution_started_total", wedged)).toBe(0);
          // What it did not answer is not made up: it was stuck for two scrapes at least.
          expect(await gapsOf(GAUGES, wedged)).toBeGreaterThanOrEqual(2);
        },
      ),
    BOUND_MS,
  );
});

const SUB_QUERY = "[60s:1s]";

const nameOf = ({ labels }: Sample): string => `${labels.__name__} of process ${labels.process}`;
const falls = ({ values }: Sample): boolean => values.some((value, index) => value < (values[index - 1] ?? 0));

/** The samples as they were scraped; where a series is missing in a scrape, there is none. */
const raw = (selector: string): Promise<Sample[]> => prometheus.query(`${selector}${WINDOW}`);

const scrapes = async (): Promise<number> => (await raw('up{job="ostinato"}'))[0]?.values.length ?? 0;

/** Tasks for both processes until `stop()`. */
function keepBusy({ task }: Supervised): { stop(): Promise<void> } {
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      await task({ ms: 20 });
      await sleep(TASK_EVERY_MS);
    }
  })();
  return {
    stop() {
      isOver = true;
      return running;
    },
  };
}

/** Waits until an expression has a result. */
async function seen(expr: string): Promise<void> {
  await waitFor(async () => (await prometheus.query(expr)).length > 0, {
    boundMs: SEEN_BOUND_MS,
    everyMs: 250,
    what: () => expr,
  });
}
