import { execFile, spawn } from "node:child_process";
import { accessSync, constants, cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { waitFor } from "../time/wait-for.js";
import { repositoryRoot } from "./packed-package.js";

export const SAMPLE = path.join(repositoryRoot, "samples/prometheus");
const FILES = ["prometheus.yml", "recording.rules.yml", "alerts.rules.yml", "rules.test.yml"] as const;

/** How long Prometheus may take to come up, in ms. */
const START_BOUND_MS = 20_000;
/** One question to Prometheus, or one check by promtool, in ms. */
const LOOK_MS = 20_000;

/** `prometheus` or `promtool`, where it is installed; throws a sentence that says how to install it. */
export function findProgram(name: "prometheus" | "promtool", folders: readonly string[] = usualFolders()): string {
  const found = folders.map((folder) => path.join(folder, name)).find(isExecutable);
  if (found !== undefined) return found;
  throw new Error(
    `There is no ${name} on the PATH. Install Prometheus (Debian, Ubuntu: apt-get install --no-install-recommends ` +
      "prometheus; Homebrew: prometheus); it brings promtool along.",
  );
}

function usualFolders(): string[] {
  return [...(process.env.PATH ?? "").split(path.delimiter), "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface Said {
  readonly code: number;
  readonly output: string;
}

/** Runs promtool in the sample's folder, or another; never rejects for what it says. */
export function promtool(args: readonly string[], { stdin = "", cwd = SAMPLE } = {}): Promise<Said> {
  const program = findProgram("promtool");
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...args], { cwd, timeout: LOOK_MS }, (error, stdout, stderr) => {
      if (error !== null && typeof error.code !== "number") reject(error);
      else resolve({ code: error === null ? 0 : Number(error.code), output: stdout + stderr });
    });
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(stdin);
  });
}

/**
 * Rules that happen faster: every duration (`for:`, `[5m]`, `offset`) and every threshold on a `*_seconds` gauge is
 * divided by `factor`. The names of recordings stay.
 */
export function speedUp(rules: string, factor: number): string {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600 };
  return rules
    .replace(/(\[|for: |offset )(\d+)([smh])\b/g, (_all, before: string, amount: string, unit: string) => {
      return `${before}${Math.round((Number(amount) * units[unit]! * 1000) / factor)}ms`;
    })
    .replace(/(_seconds(?:\{[^}]*\})? > )(\d+)/g, (_all, before: string, seconds: string) => {
      return `${before}${Number(seconds) / factor}`;
    });
}

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** By time; one for an instant query. Neither NaN nor infinite ones are left out. */
  readonly values: readonly number[];
  /** Of the values, in seconds since 1970. */
  readonly times: readonly number[];
}

export interface Alert {
  readonly name: string;
  readonly state: "pending" | "firing";
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Prometheus extends AsyncDisposable {
  readonly url: string;
  /** When it was asked to start, in seconds since 1970. */
  readonly startedAtSeconds: number;
  query(expr: string): Promise<Sample[]>;
  /** From its start until now, each second. */
  history(expr: string): Promise<Sample[]>;
  alerts(): Promise<Alert[]>;
  /** What `/api/v1/targets` says of each target: `up`, `down` or `unknown`. */
  targets(): Promise<string[]>;
  stop(): Promise<void>;
}

export interface PrometheusOptions {
  readonly port: number;
  /** What the durations of the rules are divided by. */
  readonly factor: number;
  /** How often it scrapes, and how long it waits for the answer. Default 1. */
  readonly scrapeSeconds?: number;
}

/** Starts Prometheus with the sample's configuration, sped up, so that it scrapes 127.0.0.1:`port`. */
export async function startPrometheus(options: PrometheusOptions): Promise<Prometheus> {
  const { scrapeSeconds = 1 } = options;
  const program = findProgram("prometheus");
  const folder = mkdtempSync(path.join(tmpdir(), "ostinato-prometheus-"));
  try {
    for (const file of FILES) cpSync(path.join(SAMPLE, file), path.join(folder, file));
    edit(folder, "recording.rules.yml", (text) => speedUp(text, options.factor));
    edit(folder, "alerts.rules.yml", (text) => speedUp(text, options.factor));
    edit(folder, "prometheus.yml", (text) =>
      text
        .replace(/(scrape_interval|evaluation_interval|scrape_timeout): \w+/g, `$1: ${scrapeSeconds}s`)
        .replace("127.0.0.1:9400", `127.0.0.1:${options.port}`),
    );
    return await run(program, folder);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function edit(folder: string, file: string, change: (text: string) => string): void {
  const where = path.join(folder, file);
  const before = readFileSync(where, "utf8");
  const after = change(before);
  if (after === before) throw new Error(`nothing in ${file} was sped up: it is not written as expected`);
  writeFileSync(where, after);
}

async function run(program: string, folder: string): Promise<Prometheus> {
  const url = `http://127.0.0.1:${await freePort()}`;
  const startedAtSeconds = Date.now() / 1000;
  const child = spawn(
    program,
    [
      `--config.file=${path.join(folder, "prometheus.yml")}`,
      `--storage.tsdb.path=${path.join(folder, "data")}`,
      `--web.listen-address=${url.slice("http://".length)}`,
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  let ended = false;
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (log = (log + chunk).slice(-20_000)));
  const exited = new Promise<void>((resolve) => {
    const end = () => {
      ended = true;
      resolve();
    };
    child.once("exit", end);
    child.once("error", end);
  });
  const killWithUs = () => child.kill("SIGKILL");
  process.once("exit", killWithUs);

  async function ask(question: string): Promise<unknown> {
    const answer = await fetch(`${url}/api/v1/${question}`, { signal: AbortSignal.timeout(LOOK_MS) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`Prometheus answered ${answer.status} to ${question}: ${text}`);
    return (JSON.parse(text) as { data: unknown }).data;
  }
  async function stop(): Promise<void> {
    child.kill("SIGKILL");
    await exited;
    process.off("exit", killWithUs);
    rmSync(folder, { recursive: true, force: true });
  }
  try {
    await waitFor(
      async () => {
        if (ended) return true;
        return (await fetch(`${url}/-/ready`, { signal: AbortSignal.timeout(1_000) })).ok;
      },
      { boundMs: START_BOUND_MS, everyMs: 50, what: () => `Prometheus ready; it said:\n${log}` },
    );
    if (ended) throw new Error(`Prometheus has ended:\n${log}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url,
    startedAtSeconds,
    query: async (expr) => samplesOf(await ask(`query?${new URLSearchParams({ query: expr }).toString()}`)),
    history: async (expr) => {
      const [start, end] = [startedAtSeconds, Date.now() / 1000].map((seconds) => seconds.toFixed(3)) as [
        string,
        string,
      ];
      return samplesOf(
        await ask(`query_range?${new URLSearchParams({ query: expr, start, end, step: "1" }).toString()}`),
      );
    },
    alerts: async () => {
      const { alerts } = (await ask("alerts")) as {
        alerts: (Omit<Alert, "name"> & { labels: { alertname: string } })[];
      };
      return alerts.map((alert) => ({ ...alert, name: alert.labels.alertname }));
    },
    targets: async () => {
      const { activeTargets } = (await ask("targets?state=active")) as { activeTargets: { health: string }[] };
      return activeTargets.map(({ health }) => health);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function samplesOf(data: unknown): Sample[] {
  const { result } = data as {
    result: { metric: Record<string, string>; value?: [number, string]; values?: [number, string][] }[];
  };
  return result.map(({ metric, value, values = value === undefined ? [] : [value] }) => ({
    labels: metric,
    values: values.map(([, text]) => Number(text.replace("Inf", "Infinity"))),
    times: values.map(([time]) => time),
  }));
}

/** A port of 127.0.0.1 that was free a moment ago; for programs that have to be told one. */
export async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
