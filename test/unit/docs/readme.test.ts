import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WORKER_PROPS } from "../../../src/config/env-names.js";
import { PROCESS_VARIABLES } from "../../../src/config/handler-options.js";
import { WORKER_EVENT_NAMES } from "../../../src/events/emitter.js";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../../src/testing/index.js";
import { WORKER_OPTION_NAMES } from "../../../src/worker/define-worker.js";
import { type Block, blocksOf, type Directive } from "./blocks.js";
import { type Consumer, createConsumer, repositoryRoot, SERVE_SCRIPT } from "./consumer.js";

/** A block may have to wait for a callback of a second, and for a poll that is held. */
const BLOCK_TIMEOUT_MS = 60_000;

const readme = readFileSync(path.join(repositoryRoot, "README.md"), "utf8");
const manifest = JSON.parse(readFileSync(path.join(repositoryRoot, "package.json"), "utf8")) as {
  scripts: Record<string, string>;
  version: string;
};
const blocks = blocksOf(readme);
const codeBlocks = blocks.filter(({ language }) => ["ts", "js", "sh"].includes(language));
const titleOf = ({ language, line, code }: Block) => `line ${line} (${language}): ${code.split("\n", 1)[0]}`;

type Serves = Extract<Directive, { kind: "serves" }>;
const ofKind = (kind: Directive["kind"]) =>
  codeBlocks.filter(({ directive }) => directive?.kind === kind).map((block) => [titleOf(block), block] as const);

describe("the code in README.md", () => {
  let consumer: Consumer;
  let conductor: EmbeddedConductor;
  let problems: string[];

  beforeAll(async () => {
    conductor = await startEmbeddedConductor();
    consumer = createConsumer();
    const scripts = codeBlocks.filter(({ language }) => language !== "sh");
    // As many empty lines before it as there are in the README: a problem is reported by the README's line.
    for (const { file, line, code } of scripts) consumer.write(file, "\n".repeat(line - 1) + code);
    problems = consumer.compile(scripts.filter(({ file }) => file.endsWith(".ts")).map(({ file }) => file));
  }, BLOCK_TIMEOUT_MS);

  afterAll(async () => {
    await conductor.close();
    consumer.remove();
  });

  it("says of each block what is to be done with it", () => {
    expect(codeBlocks.filter(({ directive }) => directive === undefined).map(titleOf)).toEqual([]);
    expect(blocks.filter((block) => !codeBlocks.includes(block)).map(titleOf)).toEqual([]);
  });

  it("has been taken apart: there are programs, workers and commands in it", () => {
    expect(ofKind("run").length).toBeGreaterThanOrEqual(4);
    expect(ofKind("serves").length).toBeGreaterThanOrEqual(8);
    expect(ofKind("commands-only").length).toBeLessThanOrEqual(3);
  });

  it("type-checks", () => {
    expect(problems).toEqual([]);
  });

  const envFor = ({ code }: Block): Record<string, string> => ({
    // A block with a Conductor of its own is a test, and tests leave the variable unset.
    ...(code.includes("ostinato/testing") ? {} : { CONDUCTOR_SERVER_URL: conductor.serverUrl }),
    CONDUCTOR_LOG_LEVEL: "warn",
  });

  describe.concurrent("programs end by themselves, and well", () => {
    it.each(ofKind("run"))("%s", { timeout: BLOCK_TIMEOUT_MS }, async (_title, block) => {
      const running = consumer.start(process.execPath, [emitted(block.file)], envFor(block));
      const exit = await running.exit;
      expect({ ...exit, output: running.output() }).toMatchObject({ code: 0 });
    });
  });

  // One after the other: two blocks may have workers for the same task type.
  describe("workers turn the input into the output, and stop at SIGTERM", () => {
    it.each(ofKind("serves"))("%s", { timeout: BLOCK_TIMEOUT_MS }, async (_title, block) => {
      const { taskType, input, output } = block.directive as Serves;
      const running =
        block.language === "sh"
          ? consumer.start("bash", ["-c", block.code.trim()], envFor(block))
          : consumer.start(process.execPath, [SERVE_SCRIPT, `./${emitted(block.file)}`], envFor(block));
      try {
        const name = `readme-${block.line}`;
        const taskReferenceName = `${taskType}_ref`;
        const inputParameters = input as Record<string, unknown>;
        await conductor.registerWorkflowDef({ name, tasks: [{ name: taskType, taskReferenceName, inputParameters }] });
        const workflowId = await conductor.startWorkflow({ name });
        const gone = running.exit.then((exit) => {
          throw new Error(`it ended by itself (${JSON.stringify(exit)}):\n${running.output()}`);
        });
        const workflow = await Promise.race([conductor.waitForWorkflow(workflowId, { timeoutMs: 30_000 }), gone]);
        gone.catch(() => undefined);
        expect(workflow.tasks.at(-1)).toMatchObject({ status: "COMPLETED", outputData: output });

        running.kill("SIGTERM");
        expect({ ...(await running.exit), output: running.output() }).toMatchObject({ code: 0, signal: null });
      } finally {
        running.kill("SIGKILL");
      }
    });
  });

  it.each(ofKind("commands-only"))("%s: the commands exist", (_title, { code }) => {
    expect(spawnSync("bash", ["-n"], { input: code }).status).toBe(0);
    for (const command of code.trim().split("\n")) {
      const [program = "", verb = ""] = command.split(" ");
      const known: Record<string, readonly string[]> = {
        npm: ["ci", "pack", "install", ...Object.keys(manifest.scripts)],
        npx: ["ostinato"],
      };
      expect(known[program] ?? []).toContain(verb);
    }
  });

  it("names the package by its version", () => {
    expect(readme.match(/ostinato-[\d.]+\.tgz/g)).toEqual(Array(2).fill(`ostinato-${manifest.version}.tgz`));
  });
});

describe("the facts in README.md", () => {
  const firstColumn = [...readme.matchAll(/^\| `(\w+)`(?: or `(\w+)`)? +\|/gm)].flatMap(([, a, b]) =>
    b ? [a, b] : [a],
  );

  it("has a row for every event", () => {
    const section = /^## Events and logs\n(.*?)^## /ms.exec(readme)?.[1] ?? "";
    const rows = [...section.matchAll(/^\| `(\w+)` +\|/gm)].map(([, name]) => name!);
    expect(rows.sort()).toEqual([...WORKER_EVENT_NAMES].sort());
  });

  it("has a row for every property that the environment can set, and every variable of the process", () => {
    const properties = Object.values(WORKER_PROPS).flat();
    const ofProcess = PROCESS_VARIABLES.filter((name) => !name.startsWith("CONDUCTOR_AUTH_"));
    expect(ofProcess).toContain("CONDUCTOR_SERVER_URL");
    expect(firstColumn.filter((name) => /^[A-Z]/.test(name!)).sort()).toEqual([...properties, ...ofProcess].sort());
  });

  it("names every option of a worker", () => {
    expect(WORKER_OPTION_NAMES.filter((name) => !readme.includes(`\`${name}`))).toEqual([]);
  });

  it("shows the worker of samples/hello as it is", () => {
    const hello = readFileSync(path.join(repositoryRoot, "samples/hello/greet.ts"), "utf8");
    expect(codeBlocks.find(({ file }) => file === "greet.ts")?.code).toBe(hello);
  });

  it("names npm scripts that exist", () => {
    const scripts = [...readme.matchAll(/npm run ([\w:]+)/g)].map(([, script]) => script!);
    expect(scripts.filter((script) => !(script in manifest.scripts))).toEqual([]);
  });

  it("links to what is there", () => {
    const headings = [...readme.matchAll(/^#+ (.+)$/gm)].map(([, heading]) => anchorOf(heading!));
    const targets = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!);
    const missing = targets.filter((target) => {
      if (/^https?:/.test(target)) return false;
      return target.startsWith("#")
        ? !headings.includes(target.slice(1))
        : !existsSync(path.join(repositoryRoot, target));
    });
    expect(missing).toEqual([]);
  });
});

function emitted(file: string): string {
  return file.replace(/\.ts$/, ".js");
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\w -]/g, "")
    .replaceAll(" ", "-");
}
