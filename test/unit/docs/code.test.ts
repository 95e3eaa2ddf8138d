import { spawnSync } from "node:child_process";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse as parseYaml } from "yaml";
import { type EmbeddedConductor, startEmbeddedConductor } from "../../../src/testing/index.js";
import { type Block, type Directive } from "./blocks.js";
import { type Consumer, createConsumer } from "./consumer.js";
import { pages, textOf } from "./pages.js";

/** A block may have to wait for a callback of a second, and for a poll that is held. */
const BLOCK_TIMEOUT_MS = 60_000;
/** How many blocks run at once. */
const LANES = 4;

/** What is run, or said not to be. */
const CODE = ["ts", "js", "sh"];
/** What is read by some other program, and parsed here. */
const DATA: Readonly<Record<string, (text: string) => unknown>> = {
  json: (text): unknown => JSON.parse(text),
  yaml: (text): unknown => parseYaml(text),
};
/** What a program prints. */
const PRINTED = "text";

interface Found {
  /** Where it stands, for people. */
  readonly title: string;
  /** The page it stands on, which is its folder in the project as well. */
  readonly page: string;
  readonly block: Block;
}

type Serves = Extract<Directive, { kind: "serves" }>;

const found: readonly Found[] = pages.flatMap(({ name, blocks }) =>
  blocks.map((block) => ({
    title: `${name} line ${block.line} (${block.language}): ${block.code.split("\n", 1)[0]}`,
    page: name,
    block,
  })),
);
const code = found.filter(({ block }) => CODE.includes(block.language));
const ofKind = (kind: Directive["kind"]) => code.filter(({ block }) => block.directive?.kind === kind);
const titled = (some: readonly Found[]) => some.map((each) => [each.title, each] as const);
const titles = (some: readonly Found[]) => some.map(({ title }) => title);
const manifest = JSON.parse(textOf("package.json")) as { scripts: Record<string, string> };

describe("each code block of README.md and the guide", () => {
  test("says what is to be done with it", () => {
    expect(titles(code.filter(({ block }) => block.directive === undefined))).toEqual([]);
  });

  test("is code, data or what a program prints", () => {
    const languages = [...CODE, ...Object.keys(DATA), PRINTED];
    expect(titles(found.filter(({ block }) => !languages.includes(block.language)))).toEqual([]);
  });

  test("has been taken out of its page: there are programs, workers and commands", () => {
    expect(ofKind("run").length).toBeGreaterThanOrEqual(4);
    expect(ofKind("serves").length).toBeGreaterThanOrEqual(8);
    expect(ofKind("start").length).toBe(3);
  });

  test("is run, with few exceptions: at most one on a page, and three in all", () => {
    const exceptions = ofKind("commands-only").map(({ page }) => page);
    expect(exceptions).toEqual([...new Set(exceptions)]);
    expect(exceptions.length).toBeLessThanOrEqual(3);
  });

  test.each(titled(found.filter(({ block }) => block.language in DATA)))("%s can be parsed", (_title, { block }) => {
    expect(() => DATA[block.language]!(block.code)).not.toThrow();
  });

  test.each(titled(ofKind("commands-only")))("%s: the commands exist", (_title, { block }) => {
    expect(spawnSync("bash", ["-n"], { input: block.code }).status).toBe(0);
    for (const command of block.code.trim().split(/\n|&&/)) {
      const [program = "", ...words] = command.trim().split(" ");
      const verb = words.find((word) => word !== "run") ?? "";
      const known: Record<string, readonly string[]> = {
        npm: ["ci", "pack", "install", ...Object.keys(manifest.scripts)],
        npx: ["ostinato"],
      };
      expect(known[program] ?? []).toContain(verb);
    }
  });
});

describe("the code of README.md and the guide", () => {
  let consumer: Consumer;
  let conductor: EmbeddedConductor;
  let problems: string[];

  beforeAll(async () => {
    conductor = await startEmbeddedConductor();
    consumer = createConsumer();
    const scripts = code.filter(({ block }) => block.language !== "sh");
    // As many empty lines before it as there are on the page: a problem is reported by the page's line.
    for (const { page, block } of scripts)
      consumer.write(fileOf(page, block), "\n".repeat(block.line - 1) + block.code);
    const sources = scripts.map(({ page, block }) => fileOf(page, block)).filter((file) => file.endsWith(".ts"));
    problems = consumer.compile(sources);
  }, BLOCK_TIMEOUT_MS);

  afterAll(async () => {
    await conductor.close();
    consumer.remove();
  });

  test("type-checks", () => {
    expect(problems).toEqual([]);
  });

  for (const lane of lanesOf([...ofKind("run"), ...ofKind("serves")])) {
    // The lanes run beside each other, and the blocks of a lane in turn.
    describe.concurrent("does what it says", () => {
      for (const { title, page, block } of lane) {
        test.sequential(title, { timeout: BLOCK_TIMEOUT_MS }, async () => {
          if (block.directive?.kind === "serves") await serves(page, block, block.directive);
          else await endsWell(page, block);
        });
      }
    });
  }

  /** The program ends by itself, with exit code 0. */
  async function endsWell(page: string, block: Block): Promise<void> {
    const running = consumer.start(page, process.execPath, [emitted(block.file)], envFor(block));
    const exit = await running.exit;
    expect({ ...exit, output: running.output() }).toMatchObject({ code: 0 });
  }

  /** The worker turns the input into the output, and stops at SIGTERM. */
  async function serves(page: string, block: Block, { taskType, input, output }: Serves): Promise<void> {
    const running =
      block.language === "sh"
        ? consumer.start(page, "bash", ["-c", block.code.trim()], envFor(block))
        : consumer.serve(page, emitted(block.file), envFor(block));
    try {
      const name = `${page}-${block.line}`;
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
  }

  const envFor = ({ code }: Block): Record<string, string> => ({
    // A block with a Conductor of its own is a test, and tests leave the variable unset.
    ...(code.includes('from "ostinato/testing"') ? {} : { CONDUCTOR_SERVER_URL: conductor.serverUrl }),
    CONDUCTOR_LOG_LEVEL: "warn",
    // A stop waits for a poll that the server holds.
    CONDUCTOR_WORKER_ALL_POLL_TIMEOUT: "100",
  });
});

/**
 * What may run at once with the others, in a few lanes of about the same length. Blocks that have workers for the same
 * task type share a lane: they would take each other's tasks.
 */
function lanesOf(blocks: readonly Found[]): Found[][] {
  let groups: { readonly types: Set<string>; readonly blocks: Found[] }[] = [];
  for (const each of blocks) {
    const types = taskTypesOf(each);
    const joined = groups.filter((group) => types.some((type) => group.types.has(type)));
    groups = groups.filter((group) => !joined.includes(group));
    groups.push({
      types: new Set([...joined.flatMap((group) => [...group.types]), ...types]),
      blocks: [...joined.flatMap((group) => group.blocks), each],
    });
  }
  const lanes = Array.from({ length: LANES }, (): Found[] => []);
  for (const group of groups.sort((a, b) => b.blocks.length - a.blocks.length)) {
    lanes.reduce((a, b) => (b.length < a.length ? b : a)).push(...group.blocks);
  }
  return lanes;
}

function taskTypesOf({ block }: Found): string[] {
  const named = [...block.code.matchAll(/taskDefName: "(\w+)"/g)].map(([, type]) => type!);
  return block.directive?.kind === "serves" ? [...named, block.directive.taskType] : named;
}

function fileOf(page: string, block: Block): string {
  return `${page}/${block.file}`;
}

function emitted(file: string): string {
  return file.replace(/\.ts$/, ".js");
}
