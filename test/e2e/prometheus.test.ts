import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { STUBBORN_WORKFLOW_NAME } from "../../samples/prometheus/workflow.js";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../src/testing/index.js";
import { dashboardQueries, readDashboard } from "../support/e2e/dashboard.js";
import { repositoryRoot } from "../support/e2e/packed-package.js";
import {
  type Alert,
  findProgram,
  freePort,
  type Prometheus,
  promtool,
  SAMPLE,
  speedUp,
  startPrometheus,
} from "../support/e2e/prometheus.js";
import { type ConductorProxy, type ProxiedRequest, startConductorProxy } from "../support/network/conductor-proxy.js";
import { startProcess, type RunningProcess } from "../support/process/process-harness.js";
import { waitFor } from "../support/time/wait-for.js";

/** The rules' minutes are four seconds here, and Prometheus scrapes each second instead of every 15. */
const FACTOR = 15;
/** What a fault may take to become an alert, in ms: the longest `for:` and window, sped up, and some scrapes. */
const RAISE_BOUND_MS = 35_000;
/** What an alert may take to go, in ms. */
const CLEAR_BOUND_MS = 40_000;
/** All tests together: the waits of those that come late are cut short, in ms. */
const TOTAL_BOUND_MS = 175_000;
/** Of a worker, until it polls, in ms. */
const START_BOUND_MS = 20_000;

const endMs = performance.now() + TOTAL_BOUND_MS;
const within = (boundMs: number) => Math.max(0, Math.min(boundMs, endMs - performance.now()));

let conductor: EmbeddedConductor;
let proxy: ConductorProxy;
let prometheus: Prometheus;
let worker: RunningProcess;
let adminPort: number;

describe("samples/prometheus", () => {
  beforeAll(async () => {
    adminPort = await freePort();
    conductor = await startEmbeddedConductor({ ownProcess: true });
    proxy = await startConductorProxy(conductor.serverUrl);
    worker = await startWorker();
    prometheus = await startPrometheus({ port: adminPort, factor: FACTOR });
  }, 60_000);

  afterAll(async () => {
    await worker?.kill();
    await prometheus?.stop();
    await proxy?.close();
    await conductor?.close();
  });

  afterEach(() => {
    proxy.heal();
  });

  test("a program that is not installed is missed in a sentence", () => {
    expect(() => findProgram("prometheus", [])).toThrow(/no prometheus.*apt-get install .*prometheus/);
  });

  test("rules are sped up by their durations and their seconds, and keep their names", () => {
    const rules = 'record: a:b:rate5m\nexpr: rate(x_total[5m]) > 2 or y_seconds{z="1"} > 120 or w offset 1h\nfor: 30s';
    expect(speedUp(rules, 30)).toBe(
      'record: a:b:rate5m\nexpr: rate(x_total[10000ms]) > 2 or y_seconds{z="1"} > 4 or w offset 120000ms\nfor: 1000ms',
    );
  });

  describe("promtool", () => {
    test.each([
      ["check", "config", "prometheus.yml"],
      ["check", "rules", "recording.rules.yml", "alerts.rules.yml"],
      ["test", "rules", "rules.test.yml"],
    ])("%s %s", async (...args) => {
      const { code, output } = await promtool(args);
      expect(code, output).toBe(0);
      expect(output).not.toMatch(/FAILED|warning/i);
    });

    test("has a test of each alert", () => {
      const names = (text: string, before: RegExp) => new Set([...text.matchAll(before)].map(([, name]) => name));
      const rules = readFileSync(path.join(SAMPLE, "alerts.rules.yml"), "utf8");
      const tests = readFileSync(path.join(SAMPLE, "rules.test.yml"), "utf8");
      const readme = readFileSync(path.join(SAMPLE, "README.md"), "utf8");
      const alerts = names(rules, /alert: (\w+)/g);
      expect(alerts.size).toBeGreaterThanOrEqual(8);
      expect(names(tests, /(Ostinato\w+)/g)).toEqual(alerts);
      expect(names(readme, /`(Ostinato\w+)`/g)).toEqual(alerts);
    });
  });

  describe("dashboard.json", () => {
    const { panels } = readDashboard();

    test("has panels that neither overlap nor share an id", () => {
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
      const taken = new Map<string, string>();
      for (const { title, gridPos } of panels) {
        expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken.get(`${x} ${y}`), title).toBeUndefined();
            taken.set(`${x} ${y}`, title);
          }
        }
      }
    });

    test("asks the data source that is chosen", () => {
      const sources = panels.flatMap(({ datasource, targets = [] }) => [
        datasource,
        ...targets.map((each) => each.datasource),
      ]);
      for (const source of sources)
        if (source !== undefined) expect(source).toEqual({ type: "prometheus", uid: "${datasource}" });
    });
  });

  describe.sequential("a worker process that Prometheus scrapes", () => {
    test("is up, and what it says is well-formed", async () => {
      await waitFor(async () => (await prometheus.targets()).join() === "up", {
        boundMs: 10_000,
        everyMs: 200,
        what: "up",
      });
      // Failures, leases and hand-backs are seconds apart; the check should see them all.
      await seen("sum(task_execute_error_total) > 0 and sum(task_lease_extension_total) > 0");
      const answer = await fetch(`http://127.0.0.1:${adminPort}/metrics`);
      expect(answer.headers.get("content-type")).toMatch(/^(text\/plain|application\/openmetrics-text)/);
      const { output } = await promtool(["check", "metrics"], { stdin: await answer.text() });
      // The canonical labels are in camel case; that is all there is to say.
      const complaints = output
        .split("\n")
        .filter((line) => line.trim() !== "" && !/label names should be.*snake_case/.test(line));
      expect(complaints).toEqual([]);
    });

    test("raises no alert while all is well, also for a task type without work, which is watched and not polled", async () => {
      await seen('max(worker_last_poll_age_seconds{taskType="demo_stubborn"}) > 14');
      await seen(`sum(task_update_time_seconds_count{status="SUCCESS"}) > 100 and sum(count_over_time(up[1m])) > 12`);
      expect(await prometheus.query('last_over_time(ALERTS{alertstate="firing"}[1m])')).toEqual([]);
    });

    test("OstinatoResultsWaiting and OstinatoUpdateErrors: the server takes no results", async () => {
      proxy.treat(updates("unavailable"));
      const waiting = await raised("OstinatoResultsWaiting");
      expect(waiting.annotations.summary).toMatch(/cannot deliver \d+ results$/);
      const errors = await raised("OstinatoUpdateErrors");
      expect(errors.annotations.summary).toMatch(/^\d+(\.\d+)?% of the updates for demo_\w+ fail$/);
      proxy.heal();
      await cleared("OstinatoResultsWaiting");
    });

    test("OstinatoResultsUndeliverable: the server refuses results for good", async () => {
      proxy.treat(updates("refused"));
      const { labels } = await raised("OstinatoResultsUndeliverable");
      expect(labels.taskType).toMatch(/^demo_/);
      await seen("sum(increase(task_undeliverable_total[10s])) > 0");
      proxy.treat(updates("gone"));
      await seen("sum(increase(task_moot_total[10s])) > 0");
    });

    test("OstinatoSlotsAbandoned: a function does not heed its deadline", async () => {
      await conductor.startWorkflow({ name: STUBBORN_WORKFLOW_NAME, version: 1, input: { goOnForSeconds: 16 } });
      await raised("OstinatoSlotsAbandoned");
      await cleared("OstinatoSlotsAbandoned");
      // What was refused above has left the window by now, or nearly so.
      await cleared("OstinatoUpdateErrors");
    });

    test("answers get lost on the way, and tasks are reclaimed", async () => {
      proxy.treat(({ path: at, index }) =>
        /\/tasks\/poll\/|update-v2/.test(at) && index % 7 === 0 ? "loseAnswer" : "pass",
      );
      // An exception's first error makes its series, and a rate needs two.
      await seen("sum by (taskType, exception) (rate(task_poll_error_total[5s])) > 0");
      await seen("sum(increase(task_reclaim_total[30s])) > 0");
    });

    test("OstinatoNoSuccessfulPoll: the server does not answer any more", async () => {
      proxy.treat(() => "silent");
      const { labels } = await raised("OstinatoNoSuccessfulPoll");
      expect(labels).toMatchObject({ severity: "critical", job: "ostinato", instance: `127.0.0.1:${adminPort}` });
      // The connections are suspected and replaced, more than once.
      await seen(
        "sum(increase(http_connection_generation_total[20s])) > 0 and sum(increase(http_deadline_exceeded_total[20s])) > 0",
      );
      proxy.heal();
      await cleared("OstinatoNoSuccessfulPoll");
    });

    test("OstinatoLoopStalled: the process is stopped (SIGSTOP)", async () => {
      worker.signal("SIGSTOP");
      try {
        await raised("OstinatoLoopStalled");
      } finally {
        worker.signal("SIGCONT");
      }
      await cleared("OstinatoLoopStalled");
      expect(worker.running, worker.output).toBe(true);
    });

    test("OstinatoProcessRestarts and OstinatoWorkerDown: the process dies again and again, and then for good", async () => {
      for (const life of [1, 2, 3]) {
        await worker.kill();
        worker = await startWorker();
        // Scraped, and with so many polls that the next life begins with fewer.
        await seen(`max(resets(task_poll_total[1m])) >= ${life} and max(task_poll_total) > 20`);
      }
      const { annotations } = await raised("OstinatoProcessRestarts");
      expect(annotations.summary).toMatch(/has restarted \d times in 15 minutes$/);
      await worker.kill();
      await raised("OstinatoWorkerDown");
    });

    test("each query of the dashboard had something to show meanwhile", async () => {
      const empty: string[] = [];
      for (const { panel, expr, mayBeZero } of dashboardQueries({ job: "ostinato" })) {
        const values = (await prometheus.history(expr)).flatMap((sample) => sample.values).filter(Number.isFinite);
        if (values.length === 0) empty.push(`${panel}: no data: ${expr}`);
        else if (!mayBeZero && !values.some((value) => value > 0)) empty.push(`${panel}: always 0: ${expr}`);
      }
      expect(empty).toEqual([]);
    });
  });
});

async function startWorker(): Promise<RunningProcess> {
  const started = startProcess({
    script: path.join(repositoryRoot, "samples/prometheus/worker.ts"),
    env: {
      CONDUCTOR_SERVER_URL: proxy.serverUrl,
      CONDUCTOR_WORKER_ADMIN_PORT: String(adminPort),
      // A silent server is noticed in seconds; and beats come often enough for alerts that are sped up.
      CONDUCTOR_REQUEST_TIMEOUT_MS: "2000",
      CONDUCTOR_WORKER_POLL_STALL_TIMEOUT_SECONDS: "8",
    },
  });
  await started.waitForLine(/^metrics at /, within(START_BOUND_MS)).catch(async (error: unknown) => {
    await started.kill();
    throw error;
  });
  return started;
}

/** Treats attempts to deliver results: `update-v2` and `POST /tasks`. */
function updates(how: "unavailable" | "refused" | "gone") {
  const body = (status: number, message: string) => ({ status, body: { status, message, retryable: false } });
  const answers = {
    // As a gateway would say it.
    unavailable: { status: 503, body: "<html>Service Unavailable</html>" },
    refused: body(400, "the result is not acceptable"),
    gone: body(404, "No such task found by id"),
  };
  return ({ method, path: at }: ProxiedRequest) =>
    method === "POST" && /\/tasks(\/update-v2)?$/.test(at) ? answers[how] : ("pass" as const);
}

const isFiring = (alert: Alert) => alert.state === "firing";

async function raised(name: string): Promise<Alert> {
  let alerts: Alert[] = [];
  const alert = await waitFor(
    async () => {
      alerts = await prometheus.alerts();
      return alerts.find((each) => each.name === name && isFiring(each));
    },
    {
      boundMs: within(RAISE_BOUND_MS),
      everyMs: 250,
      what: () => `${name} raised; there are ${JSON.stringify(alerts, null, 1)}`,
    },
  );
  const { summary = "", description = "" } = alert.annotations;
  for (const text of [summary, description]) expect(text, name).toMatch(/^(?!.*(<error|<no value>|\{\{)).{20}/);
  expect(alert.labels.severity).toMatch(/^(critical|warning)$/);
  return alert;
}

async function cleared(name: string): Promise<void> {
  await waitFor(async () => !(await prometheus.alerts()).some((each) => each.name === name), {
    boundMs: within(CLEAR_BOUND_MS),
    everyMs: 250,
    what: `${name} cleared`,
  });
}

/** Waits until an expression has a result. */
async function seen(expr: string): Promise<void> {
  await waitFor(async () => (await prometheus.query(expr)).length > 0, {
    boundMs: within(RAISE_BOUND_MS),
    everyMs: 250,
    what: () => `${expr}; the worker said last:\n${worker.output.slice(-3_000)}`,
  });
}
