import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { build } from "esbuild";
import { repositoryRoot, runTool } from "./packed-package.js";

/** A way to use the package: how a program for it comes about. */
export interface Consumer {
  readonly name: string;
  /** Writes, checks, compiles or bundles it below `app`; resolves with the files that Node can run. */
  make(app: string): Promise<readonly string[]>;
}

const IMPORTS = `
import { createConductorClient, defineWorker, TaskHandler } from "ostinato";
import { getTaskContext } from "ostinato/context";
import { startEmbeddedConductor } from "ostinato/testing";
`;

const REQUIRES = `
const { createConductorClient, defineWorker, TaskHandler } = require("ostinato");
const { getTaskContext } = require("ostinato/context");
const { startEmbeddedConductor } = require("ostinato/testing");
`;

/** What undici, a CommonJS package, needs inside an ES module. */
const REQUIRE_BANNER = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;

/** One workflow from its definition to its end, and then an end of the process that nobody has to force. */
const program = (imports: string, inputType = "") => `${imports}
const greet = defineWorker({
  taskDefName: "greet",
  execute: async (input${inputType}, ctx) => {
    ctx.log("greeting " + input.name);
    return { message: "Hello " + input.name, hasContext: getTaskContext()?.taskId === ctx.taskId };
  },
});

async function main() {
  const givenUrl = process.env.CONDUCTOR_SERVER_URL;
  const embedded = givenUrl === undefined ? await startEmbeddedConductor() : undefined;
  const serverUrl = embedded?.serverUrl ?? givenUrl ?? "";
  const client = createConductorClient({ serverUrl });
  const handler = new TaskHandler({ serverUrl, workers: [greet] });
  await client.metadata.registerTaskDefs([{ name: "greet", ownerEmail: "e2e@example.com" }]);
  await client.metadata.registerWorkflowDefs([
    {
      name: "greeting",
      version: 1,
      schemaVersion: 2,
      ownerEmail: "e2e@example.com",
      tasks: [
        {
          name: "greet",
          taskReferenceName: "greet",
          type: "SIMPLE",
          inputParameters: { name: "\${workflow.input.name}" },
        },
      ],
      outputParameters: { message: "\${greet.output.message}", hasContext: "\${greet.output.hasContext}" },
    },
  ]);
  await handler.start();
  const workflowId = await client.workflows.start({ name: "greeting", version: 1, input: { name: "Ada" } });
  const giveUpAt = Date.now() + 30_000;
  let workflow = await client.workflows.get(workflowId);
  while (workflow.status === "RUNNING" && Date.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    workflow = await client.workflows.get(workflowId);
  }
  await handler.stop();
  await client.close();
  await embedded?.close();
  console.log("the workflow is", workflow.status, JSON.stringify(workflow.output));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
`;

const ENTRY_POINTS = `
const wanted = {
  "ostinato": "defineWorker",
  "ostinato/context": "getTaskContext",
  "ostinato/testing": "startEmbeddedConductor",
  "ostinato/dist/index.js": "defineWorker",
  "ostinato/src/index.ts": "defineWorker",
};
for (const [specifier, name] of Object.entries(wanted)) {
  const found = await import(specifier).then((module) => typeof module[name], (error) => error.code);
  console.log(specifier + ": " + found);
}
`;

export const esModule: Consumer = {
  name: "an ES module",
  make: async (app) => [write(app, "program.mjs", program(IMPORTS))],
};

export const commonJs: Consumer = {
  name: "CommonJS, by require",
  make: async (app) => [write(app, "program.cjs", program(REQUIRES))],
};

/** Both kinds of module, type-checked with the declarations of all packages. */
export const typeScript = (module: "nodenext" | "node20"): Consumer => ({
  name: `TypeScript, module ${module}`,
  async make(app) {
    const folder = path.join(app, module);
    const text = program(IMPORTS, ": { name: string }");
    write(folder, "esm.mts", text);
    write(folder, "commonjs.cts", text);
    const compilerOptions = {
      module,
      target: "es2023",
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      skipLibCheck: false,
      types: ["node"],
      typeRoots: [path.join(repositoryRoot, "node_modules", "@types")],
      rootDir: ".",
      outDir: "compiled",
    };
    write(folder, "tsconfig.json", JSON.stringify({ compilerOptions, files: ["esm.mts", "commonjs.cts"] }));
    await runTool("typescript/bin/tsc", ["-p", "."], folder);
    return ["esm.mjs", "commonjs.cjs"].map((file) => path.join(folder, "compiled", file));
  },
});

/** One file that runs where there is no `node_modules`. */
export const bundle = (format: "cjs" | "esm"): Consumer => ({
  name: `an esbuild bundle, ${format}`,
  async make(app) {
    const entry = write(app, `bundled-${format}.mjs`, program(IMPORTS));
    const file = path.join(app, "..", "bundles", format === "cjs" ? "program.cjs" : "program.mjs");
    await build({
      entryPoints: [entry],
      outfile: file,
      bundle: true,
      platform: "node",
      target: "node20",
      format,
      logLevel: "silent",
      ...(format === "esm" ? { banner: { js: REQUIRE_BANNER } } : {}),
    });
    return [file];
  },
});

/** Asks for each entry point by `import`, and for files that are none. */
export const entryPoints: Consumer = {
  name: "the entry points",
  make: async (app) => [write(app, "entry-points.mjs", ENTRY_POINTS)],
};

function write(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}
