import { spawn, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";

const hasPty = spawnSync("script", ["--version"]).status === 0;
if (!hasPty) console.warn("NOT RUN: the default logger in a terminal needs `script` of util-linux");
const TIMEOUT_MS = 30_000;
const ESC = "\u001b";

const PROGRAM = (format: string) => `
  import { createDefaultLogger } from "./src/log/default-logger.ts";
  const logger = await createDefaultLogger("info", ${format});
  logger.debug({}, "unseen");
  logger.info({ taskType: "greet", password: "hush" }, "hello");
  const child = logger.child({ taskId: "t", token: "hush", request: { headers: { authorization: "hush" } } });
  child.child({ keySecret: "hush" }).warn({}, "from a child\\nof a child");
  const error = Object.assign(new TypeError("bad", { cause: new Error("worse") }), {
    code: "X",
    config: { headers: { "X-Authorization": "hush" } },
  });
  logger.error({ err: error }, "failed");
`;

interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(file: string, args: readonly string[], env: Readonly<Record<string, string>>): Promise<Output> {
  const { PATH, HOME } = process.env;
  const child = spawn(file, args, { env: { PATH, HOME, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve({ code, stdout: stdout.replaceAll("\r\n", "\n"), stderr });
    });
  });
}

const NODE_ARGS = ["--import", "tsx", "--input-type=module", "-e"];

const piped = (format = "undefined", env = {}) => run(process.execPath, [...NODE_ARGS, PROGRAM(format)], env);

function inTerminal(format = "undefined", env = {}): Promise<Output> {
  const command = `exec "$NODE" ${NODE_ARGS.join(" ")} "$PROGRAM"`;
  return run("script", ["-qec", command, "/dev/null"], {
    NODE: process.execPath,
    PROGRAM: PROGRAM(format),
    TERM: "xterm",
    SHELL: "/bin/sh",
    ...env,
  });
}

describe.concurrent("the default logger", { timeout: TIMEOUT_MS }, () => {
  test("writes JSON where there is no terminal, and no secret", async () => {
    const { code, stdout, stderr } = await piped();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 30, name: "ostinato", msg: "hello", taskType: "greet", password: "[Redacted]" },
      {
        level: 40,
        msg: "from a child\nof a child",
        taskId: "t",
        token: "[Redacted]",
        keySecret: "[Redacted]",
        request: { headers: { authorization: "[Redacted]" } },
      },
      {
        level: 50,
        err: {
          type: "TypeError",
          code: "X",
          stack: expect.stringContaining("caused by: Error: worse"),
          config: { headers: { "X-Authorization": "[Redacted]" } },
        },
      },
    ]);
    expect(stdout).not.toContain("hush");
  });

  test("writes for people when it is told to, without colours where there is no terminal", async () => {
    const { code, stdout, stderr } = await piped('"pretty"');
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [first, second, third, stack] = stdout.split("\n");
    expect(first).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}hello taskType=greet password=\[Redacted\]$/);
    expect(second).toMatch(
      /^\S+ WARN {2}from a child\\nof a child taskId=t token=\[Redacted\] request=\{.*\} keySecret=\[Redacted\]$/,
    );
    expect(third).toMatch(/^\S+ ERROR failed$/);
    expect(stack).toBe("    TypeError: bad");
    expect(stdout).toContain('    code=X config={"headers":{"X-Authorization":"[Redacted]"}}');
    expect(stdout).not.toContain("hush");
    expect(stdout).not.toContain(ESC);
  });

  test.runIf(hasPty)("writes for people in a terminal, in colours", async () => {
    const { code, stdout } = await inTerminal();
    expect(code).toBe(0);
    expect(stdout).toContain(`${ESC}[32mINFO ${ESC}[0m hello ${ESC}[90mtaskType=greet`);
    expect(stdout).toContain(`${ESC}[31mERROR${ESC}[0m failed\n`);
  });

  test.runIf(hasPty).each([
    ["NO_COLOR", { NO_COLOR: "1" }],
    ["a dumb terminal", { TERM: "dumb" }],
  ])("writes without colours with %s", async (_, env) => {
    const { stdout } = await inTerminal("undefined", env);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}hello taskType=greet/);
    expect(stdout).not.toContain(ESC);
  });

  test.runIf(hasPty)("writes JSON in a terminal when it is told to", async () => {
    const { stdout } = await inTerminal('"json"');
    expect(JSON.parse(stdout.split("\n")[0]!)).toMatchObject({ msg: "hello" });
  });
});
