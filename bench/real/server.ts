import { setTimeout as sleep } from "node:timers/promises";
import { createConductorClient, type ConductorClient, type Workflow } from "ostinato";
import type { RealConductor } from "../../test/support/servers/real-conductor/real-conductor.js";

/** What all workers' requests have cost so far, by the server's own count. */
export interface RequestTotals {
  readonly count: number;
  /** The time that threads were taken by them, in ms. */
  readonly threadMs: number;
}

/** Nothing here runs for long; a task that is lost on its way must fail the bench, and not come again. */
const OWNER = "bench@example.com";
const LOST_AFTER_SECONDS = 3_600;
const STARTS_AT_ONCE = 8;
const ENDED_BOUND_MS = 30_000;

/** The server that is measured with, and what the bench asks of it. */
export class BenchServer implements AsyncDisposable {
  readonly conductor: RealConductor;
  readonly #client: ConductorClient;
  #loads = 0;

  constructor(conductor: RealConductor) {
    this.conductor = conductor;
    this.#client = createConductorClient({ serverUrl: conductor.serverUrl });
  }

  get serverUrl(): string {
    return this.conductor.serverUrl;
  }

  /** Task types that nobody has polled yet: no load finds what another one left. */
  async newTaskTypes(count: number): Promise<string[]> {
    const load = ++this.#loads;
    const names = Array.from({ length: count }, (_, index) => `load${load}_${index + 1}`);
    await this.#client.metadata.registerTaskDefs(
      names.map((name) => ({
        name,
        ownerEmail: OWNER,
        retryCount: 0,
        timeoutSeconds: 0,
        responseTimeoutSeconds: LOST_AFTER_SECONDS,
      })),
    );
    return names;
  }

  /** A workflow with one task of each of these types, one after the other. Returns its name. */
  async newWorkflow(taskTypes: readonly string[]): Promise<string> {
    const name = `workflow_${this.#loads}`;
    await this.#client.metadata.registerWorkflowDefs([
      {
        name,
        version: 1,
        schemaVersion: 2,
        ownerEmail: OWNER,
        timeoutPolicy: "ALERT_ONLY",
        timeoutSeconds: 0,
        tasks: taskTypes.map((taskType, index) => ({
          name: taskType,
          taskReferenceName: `step_${index + 1}`,
          type: "SIMPLE",
          inputParameters: { number: "${workflow.input.number}" },
        })),
      },
    ]);
    return name;
  }

  start(name: string, number: number): Promise<string> {
    return this.#client.workflows.start({ name, version: 1, input: { number } });
  }

  async startMany(name: string, count: number): Promise<string[]> {
    const ids: string[] = [];
    for (let first = 0; first < count; first += STARTS_AT_ONCE) {
      const length = Math.min(STARTS_AT_ONCE, count - first);
      ids.push(...(await Promise.all(Array.from({ length }, (_, index) => this.start(name, first + index)))));
    }
    return ids;
  }

  /** The workflows, all of them completed; waits for those that still report their last task. */
  async completed(ids: readonly string[]): Promise<Workflow[]> {
    const giveUpAt = performance.now() + ENDED_BOUND_MS;
    const workflows: Workflow[] = [];
    for (const id of ids) {
      let workflow = await this.#client.workflows.get(id);
      while (workflow.status === "RUNNING" && performance.now() < giveUpAt) {
        await sleep(20);
        workflow = await this.#client.workflows.get(id);
      }
      if (workflow.status !== "COMPLETED") throw new Error(`workflow ${id} is ${workflow.status}`);
      workflows.push(workflow);
    }
    return workflows;
  }

  cpuMs(): number {
    return this.conductor.cpuMs();
  }

  /** Requests to the API that have been answered. */
  async requestTotals(): Promise<RequestTotals> {
    const answer = await fetch(new URL("/actuator/prometheus", this.serverUrl));
    if (!answer.ok) throw new Error(`the server's metrics: HTTP ${answer.status}`);
    let count = 0;
    let threadMs = 0;
    for (const line of (await answer.text()).split("\n")) {
      const sample = /^http_server_requests_seconds_(count|sum)\{.*uri="\/api\/.*\} (\S+)$/.exec(line);
      if (sample?.[1] === "count") count += Number(sample[2]);
      else if (sample?.[1] === "sum") threadMs += Number(sample[2]) * 1_000;
    }
    return { count, threadMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close();
    await this.conductor.close();
  }
}
