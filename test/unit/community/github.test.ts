import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

interface Step {
  readonly uses?: string;
  readonly run?: string;
}

interface Job {
  readonly "runs-on": string;
  readonly "timeout-minutes"?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly strategy?: { readonly matrix: { readonly os: readonly string[]; readonly node: readonly number[] } };
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly on: object;
  readonly permissions: Readonly<Record<string, string>>;
  readonly concurrency: object;
  readonly jobs: Readonly<Record<string, Job>>;
}

interface Field {
  readonly type: string;
  readonly id?: string;
  readonly attributes: { readonly label?: string; readonly value?: string };
  readonly validations?: { readonly required?: boolean };
}

interface Form {
  readonly name: string;
  readonly description: string;
  readonly body: readonly Field[];
}

const at = (file: string) => new URL(`../../../${file}`, import.meta.url);
const read = (file: string) => readFileSync(at(file), "utf8");
const yamlIn = (folder: string) => readdirSync(at(folder)).filter((name) => name.endsWith(".yml"));

const WORKFLOWS = yamlIn(".github/workflows/");
const workflow = (name: string) => parse(read(`.github/workflows/${name}`)) as Workflow;
const FORMS = yamlIn(".github/ISSUE_TEMPLATE/").filter((name) => name !== "config.yml");
const form = (name: string) => parse(read(`.github/ISSUE_TEMPLATE/${name}`)) as Form;

describe("the workflows", () => {
  test.each(WORKFLOWS)("may only read, have a bound and a group, and pin actions to a major version: %s", (name) => {
    const { permissions, concurrency, jobs } = workflow(name);
    expect(permissions).toEqual({ contents: "read" });
    expect(concurrency).toHaveProperty("group");
    for (const job of Object.values(jobs)) {
      expect(job["timeout-minutes"]).toBeGreaterThan(0);
      const actions = job.steps.flatMap(({ uses }) => uses ?? []);
      expect(actions.filter((action) => !/^actions\/[\w-]+@v\d+$/.test(action))).toEqual([]);
    }
  });

  test("try the oldest Node that is supported, and those that .ci/run tries", () => {
    const { engines } = JSON.parse(read("package.json")) as { engines: { node: string } };
    const oldest = Number(/^>=(\d+)\./.exec(engines.node)?.[1]);
    const others = [...read(".ci/run").matchAll(/^step node\d+ test_on (\d+)$/gm)].map(([, node]) => Number(node));
    const { matrix } = workflow("ci.yml").jobs.test!.strategy!;
    expect(matrix.node).toEqual([oldest, ...others]);
    expect(matrix.os.map((os) => os.replace(/-.*/, ""))).toEqual(["ubuntu", "macos", "windows"]);
  });

  test("sign what is published, in the one job that may, after its tests", () => {
    const { jobs } = workflow("release.yml");
    expect(Object.keys(jobs)).toEqual(["publish"]);
    expect(jobs.publish!.permissions).toEqual({ contents: "read", "id-token": "write" });
    const commands = jobs.publish!.steps.flatMap(({ run }) => run ?? []);
    expect(commands.slice(-5)).toEqual([
      "npm ci",
      "npm run build",
      "npm test",
      "npm run test:package",
      "npm publish --provenance",
    ]);
  });
});

describe("the forms for issues", () => {
  test.each(FORMS)("have a name, a description and fields of their own: %s", (name) => {
    const { body, ...head } = form(name);
    expect(head).toMatchObject({ name: expect.stringMatching(/\w/), description: expect.stringMatching(/\w/) });
    const fields = body.filter(({ type }) => type !== "markdown");
    expect(fields.filter(({ type }) => !["input", "textarea", "dropdown"].includes(type))).toEqual([]);
    const ids = fields.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).not.toContain(undefined);
    expect(fields.filter(({ attributes }) => attributes.label === undefined)).toEqual([]);
  });

  test("ask for all that is known of a stuck worker", () => {
    const ids = form("stuck.yml").body.flatMap(({ id }) => id ?? []);
    expect(ids).toEqual(["report", "what", "exit-code", "versions", "supervised", "status", "log", "code"]);
  });

  test.each(["stuck.yml", "bug.yml"])("warn of secrets before anything is pasted, and ask for versions: %s", (name) => {
    const [first, ...rest] = form(name).body;
    expect(first?.attributes.value).toContain("Take out secrets");
    const versions = rest.find(({ id }) => id === "versions");
    for (const of of ["ostinato:", "Node ", "Conductor server", "queues in"])
      expect(versions?.attributes.value).toContain(of);
    expect(versions?.validations).toEqual({ required: true });
  });
});
