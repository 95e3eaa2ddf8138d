import { createConductorClient, type Workflow, type WorkflowClient } from "ostinato";
import { startEmbeddedConductor } from "ostinato/testing";

// Everything around the worker in greet.ts, so that one command shows it at work: a Conductor to poll (unless you have
// one), a workflow that greets somebody, and the SIGTERM by which a worker is stopped.

/** A server that is not there, or has no worker for `greet`, must not keep a stranger waiting for ever. */
const PATIENCE_MS = 30_000;

const ownUrl = process.env.CONDUCTOR_SERVER_URL?.trim() ?? "";
const conductor = ownUrl === "" ? await startEmbeddedConductor() : undefined;
if (conductor !== undefined) process.env.CONDUCTOR_SERVER_URL = conductor.serverUrl;
process.env.CONDUCTOR_LOG_LEVEL ??= "warn";

const client = createConductorClient();
try {
  await client.metadata.registerTaskDefs([{ name: "greet", retryCount: 0, ownerEmail: "samples@example.com" }]);
  await client.metadata.registerWorkflowDefs([
    {
      name: "hello",
      schemaVersion: 2,
      ownerEmail: "samples@example.com",
      tasks: [{ name: "greet", taskReferenceName: "greet", inputParameters: { name: "${workflow.input.name}" } }],
      outputParameters: { message: "${greet.output.message}" },
    },
  ]);
  const worker = import("./greet.js");

  const workflowId = await client.workflows.start({ name: "hello", input: { name: process.argv[2] ?? "Ada" } });
  const { status, output } = await ended(client.workflows, workflowId);
  console.log(status === "COMPLETED" ? output.message : `The workflow is ${status}`);
  process.exitCode = status === "COMPLETED" ? 0 : 1;

  process.kill(process.pid, "SIGTERM");
  await worker;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
} finally {
  await client.close();
  await conductor?.close();
}

async function ended(workflows: WorkflowClient, workflowId: string): Promise<Workflow> {
  const giveUpAt = Date.now() + PATIENCE_MS;
  for (;;) {
    const workflow = await workflows.get(workflowId);
    if (workflow.status !== "RUNNING" || Date.now() > giveUpAt) return workflow;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
