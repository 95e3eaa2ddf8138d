import { copyFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createConductorClient } from "../../src/index.js";
import { installPacked, repositoryRoot, run, type PackedPackage } from "../support/e2e/packed-package.js";
import { bundle, commonJs, entryPoints, esModule, typeScript, type Consumer } from "../support/e2e/programs.js";
import { startProcess } from "../support/process/process-harness.js";
import { startRealConductor, type RealConductor } from "../support/servers/real-conductor/real-conductor.js";
import { waitFor } from "../support/time/wait-for.js";

const MAX_PACKED_BYTES = 300_000;
const MAX_INSTALLED_PACKAGES = 21;
const PROGRAM_BOUND_MS = 60_000;

let packed: PackedPackage;
let conductor: RealConductor | undefined;

describe("the packed package", () => {
  beforeAll(async () => {
    packed = await installPacked();
  });

  afterAll(async () => {
    await conductor?.close();
    packed.remove();
  });

  describe("what is published", () => {
    test(`is less than ${MAX_PACKED_BYTES / 1000} kB`, () => {
      console.log(`packed: ${packed.bytes} bytes`);
      expect(packed.bytes).toBeLessThan(MAX_PACKED_BYTES);
    });

    test(`brings no more than ${MAX_INSTALLED_PACKAGES} packages, itself included`, () => {
      console.log(`installed: ${packed.installedPackages} packages`);
      expect(packed.installedPackages).toBeLessThanOrEqual(MAX_INSTALLED_PACKAGES);
    });

    test("has a manifest that publint finds no fault with", async () => {
      expect(await run("npx", ["--yes", "publint", "--strict", packed.tarball], repositoryRoot)).toMatch(/All good/);
    });

    test("has types that resolve as its modules do", async () => {
      await run("npx", ["--yes", "@arethetypeswrong/cli", packed.tarball, "--profile", "esm-only"], repositoryRoot);
    });

    test("has a command that tells the version", async () => {
      const said = await run("npx", ["--no-install", "ostinato", "--version"], packed.app);
      expect(said).toContain(path.basename(packed.tarball, ".tgz").replace("ostinato-", ""));
    });

    test("has the entry points that it says, and no others", async () => {
      const [script = ""] = await entryPoints.make(packed.app);
      const child = startProcess({ script, cwd: packed.app });
      expect(await child.waitForExit(PROGRAM_BOUND_MS)).toEqual({ code: 0, signal: null });
      expect(child.stdout).toEqual([
        "ostinato: function",
        "ostinato/context: function",
        "ostinato/testing: function",
        "ostinato/dist/index.js: ERR_PACKAGE_PATH_NOT_EXPORTED",
        "ostinato/src/index.ts: ERR_PACKAGE_PATH_NOT_EXPORTED",
      ]);
    });
  });

  const consumers: readonly Consumer[] = [
    esModule,
    commonJs,
    typeScript("nodenext"),
    typeScript("node20"),
    bundle("cjs"),
    bundle("esm"),
  ];

  describe.each(consumers)("used from $name", (consumer) => {
    let scripts: readonly string[] = [];

    beforeAll(async () => {
      scripts = await consumer.make(packed.app);
    });

    test("a workflow is COMPLETED on the embedded Conductor, and the process ends by itself", async () => {
      for (const script of scripts) await expectGreeting(script, {});
    });

    test("a workflow is COMPLETED on a Conductor server, and the process ends by itself", async () => {
      const { serverUrl } = (conductor ??= await startRealConductor({ queue: "sqlite" }));
      for (const script of scripts) await expectGreeting(script, { CONDUCTOR_SERVER_URL: serverUrl });
    });
  });

  test("the CommonJS sample works on a Conductor server until SIGTERM", async () => {
    const { serverUrl } = (conductor ??= await startRealConductor({ queue: "sqlite" }));
    const script = path.join(packed.app, "worker.cjs");
    copyFileSync(path.join(repositoryRoot, "samples/commonjs/worker.cjs"), script);
    await using client = createConductorClient({ serverUrl });
    await client.metadata.registerTaskDefs([{ name: "greet", ownerEmail: "e2e@example.com" }]);
    await client.metadata.registerWorkflowDefs([
      {
        name: "commonjs_greeting",
        version: 1,
        schemaVersion: 2,
        ownerEmail: "e2e@example.com",
        tasks: [{ name: "greet", taskReferenceName: "greet", type: "SIMPLE", inputParameters: { name: "Grace" } }],
        outputParameters: { message: "${greet.output.message}" },
      },
    ]);

    const child = startProcess({ script, cwd: packed.app, env: { CONDUCTOR_SERVER_URL: serverUrl } });
    try {
      const workflowId = await client.workflows.start({ name: "commonjs_greeting", version: 1 });
      const workflow = await waitFor(
        async () => {
          const seen = await client.workflows.get(workflowId);
          return seen.status === "RUNNING" ? undefined : seen;
        },
        { what: () => `the end of the workflow; the worker said:\n${child.output}`, boundMs: 30_000, everyMs: 100 },
      );
      expect(workflow).toMatchObject({ status: "COMPLETED", output: { message: "Hello Grace" } });
      child.signal("SIGTERM");
      expect(await child.waitForExit(PROGRAM_BOUND_MS)).toEqual({ code: 0, signal: null });
    } finally {
      await child.kill();
    }
  });
});

async function expectGreeting(script: string, env: Record<string, string>): Promise<void> {
  const child = startProcess({ script, cwd: path.dirname(script), env });
  try {
    const end = await child.waitForExit(PROGRAM_BOUND_MS);
    expect(child.output).toContain('the workflow is COMPLETED {"message":"Hello Ada","hasContext":true}');
    expect(end, child.output).toEqual({ code: 0, signal: null });
  } finally {
    await child.kill();
  }
}
