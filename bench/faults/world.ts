import { fileURLToPath } from "node:url";
import type { TaskDef } from "ostinato";
import type { EmbeddedConductor } from "ostinato/testing";
import pLimit from "p-limit";
import { beginWorkflows, defineTypes, type Input } from "../../test/support/faults/world.js";
import { startTcpProxy, type TcpProxy } from "../../test/support/network/tcp-proxy.js";
import { startProcess, type RunningProcess } from "../../test/support/process/process-harness.js";
import { startGateway, type Gateway } from "../../test/support/servers/gateway.js";
import { waitFor } from "../../test/support/time/wait-for.js";
import type { Told } from "./accounts.js";

export type ClientName = "ostinato" | "official";

/** How the worker of one fault is set up; everything else has its default. */
export interface WorkerSettings {
  readonly concurrency: number;
  /** The official SDK's SIGTERM handler does not call `process.exit`. Default false. */
  readonly isShortOfExit?: boolean;
}

const START_BOUND_MS = 60_000;

/** Starting a process takes a core: one at a time, so that what is being measured elsewhere is not slowed down. */
const starting = pLimit(1);

/** A worker in a process of its own → a TCP proxy → a scripted gateway → the embedded Conductor, in its own process. */
export class FaultWorld {
  readonly client: ClientName;
  readonly conductor: EmbeddedConductor;
  readonly proxy: TcpProxy;
  readonly gateway: Gateway;
  /** Every workflow that was started here. */
  readonly workflowIds: string[] = [];
  readonly #taskType: string;
  readonly #settings: WorkerSettings;
  readonly #workers: RunningProcess[] = [];

  private constructor(
    client: ClientName,
    conductor: EmbeddedConductor,
    between: { readonly proxy: TcpProxy; readonly gateway: Gateway },
    taskType: string,
    settings: WorkerSettings,
  ) {
    this.client = client;
    this.conductor = conductor;
    this.proxy = between.proxy;
    this.gateway = between.gateway;
    this.#taskType = taskType;
    this.#settings = settings;
  }

  static async open(
    client: ClientName,
    conductor: EmbeddedConductor,
    taskType: string,
    settings: WorkerSettings,
    taskDef: Partial<TaskDef> = {},
  ): Promise<FaultWorld> {
    await defineTypes(conductor, [taskType], taskDef);
    const gateway = await startGateway(conductor.serverUrl);
    const proxy = await startTcpProxy(gateway.url);
    return new FaultWorld(client, conductor, { proxy, gateway }, taskType, settings);
  }

  /** The worker that was started last. */
  get worker(): RunningProcess {
    const last = this.#workers.at(-1);
    if (last === undefined) throw new Error("no worker was started");
    return last;
  }

  /** Starts one when no other worker is being started. Resolves when it polls. */
  startWorker(): Promise<void> {
    return starting(() => this.startWorkerAtOnce());
  }

  /** The same without waiting for others: where the time to start counts. */
  async startWorkerAtOnce(): Promise<void> {
    const worker = startProcess({
      script: fileURLToPath(new URL(`clients/${this.client}.mjs`, import.meta.url)),
      args: [JSON.stringify({ serverUrl: `${this.proxy.url}/api`, taskType: this.#taskType, ...this.#settings })],
    });
    this.#workers.push(worker);
    await worker.waitForLine(/^@ polling$/, START_BOUND_MS);
  }

  /** What the functions told so far, in their order. */
  told(): Told[] {
    return this.#workers.flatMap(({ stdout }) =>
      stdout.flatMap((line) => {
        const [, kind, workflowId = "", taskId = ""] = /^@ (began|finished) (\S+) (\S+)$/.exec(line) ?? [];
        return kind === "began" || kind === "finished" ? [{ kind, workflowId, taskId }] : [];
      }),
    );
  }

  /** Starts workflows of one task each. */
  async begin(count = 1, input: Input = {}): Promise<string[]> {
    const ids = await beginWorkflows(this.conductor, count, input, this.#taskType);
    this.workflowIds.push(...ids);
    return ids;
  }

  /** Waits until the functions of these workflows were entered. */
  async began(workflowIds: readonly string[]): Promise<void> {
    const wanted = new Set(workflowIds);
    const left = () => {
      for (const { workflowId } of this.told()) wanted.delete(workflowId);
      return wanted.size;
    };
    await waitFor(() => left() === 0, { boundMs: 20_000, everyMs: 20, what: () => `${left()} functions to begin` });
  }

  async done(workflowIds: readonly string[]): Promise<void> {
    await Promise.all(workflowIds.map((id) => this.conductor.waitForWorkflow(id, { timeoutMs: 20_000 })));
  }

  /** Lets go of the functions that are held. */
  release(): void {
    this.worker.write("release\n");
  }

  async close(): Promise<void> {
    for (const worker of this.#workers) await worker.kill();
    await this.proxy.close();
    await this.gateway.close();
  }
}
