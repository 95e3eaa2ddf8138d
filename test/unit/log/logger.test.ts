import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { promisify } from "node:util";
import { describe, expect, test, vi } from "vitest";
import { logOnlyCopy, safeLogger, type Logger } from "../../../src/log/logger.js";

const LEVELS = ["debug", "info", "warn", "error"] as const;

function recorder(child?: Logger["child"]): Logger & { lines: unknown[][] } {
  const lines: unknown[][] = [];
  const write = (level: string) => (fields: object, message: string) => void lines.push([level, fields, message]);
  return {
    lines,
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    ...(child === undefined ? {} : { child }),
  };
}

const logAll = (logger: Logger) => {
  for (const level of LEVELS) logger[level]({ a: 1 }, "m");
};

describe("safeLogger", () => {
  test("passes lines on as they are", () => {
    const inner = recorder();
    logAll(safeLogger(inner));
    expect(inner.lines).toEqual(LEVELS.map((level) => [level, { a: 1 }, "m"]));
  });

  test("calls the logger's methods on the logger", () => {
    class Own {
      readonly lines: string[] = [];
      debug() {}
      info(_: object, message: string) {
        this.lines.push(message);
      }
      warn() {}
      error() {}
    }
    const own = new Own();
    safeLogger(own).info({}, "hello");
    expect(own.lines).toEqual(["hello"]);
  });

  test.each([
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    [
      "throws undefined",
      () => {
        throw undefined;
      },
    ],
    ["is missing", undefined],
    ["is no function", 5],
    [
      "returns something whose then throws",
      () => ({
        get then() {
          throw new Error("x");
        },
      }),
    ],
  ])("harms nobody when a method %s", (_, method) => {
    const logger = safeLogger({ debug: method, info: method, warn: method, error: method } as never);
    expect(() => {
      logAll(logger);
    }).not.toThrow();
    expect(() => {
      logAll(logger.child({ b: 2 }));
    }).not.toThrow();
  });

  test("harms nobody when the logger's methods reject", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    try {
      const reject = () => Promise.reject(new Error("x"));
      const logger = safeLogger({ debug: reject, info: reject, warn: reject, error: reject, child: reject } as never);
      logAll(logger);
      logAll(logger.child({}));
      await nextTurn();
      await nextTurn();
      expect(unhandled).not.toHaveBeenCalled();
    } finally {
      process.off("unhandledRejection", unhandled);
    }
  });

  test("uses the logger's own child", () => {
    const inner = recorder();
    const outer = recorder(() => inner);
    logAll(safeLogger(outer).child({ b: 2 }));
    expect(outer.lines).toEqual([]);
    expect(inner.lines).toHaveLength(4);
    expect(inner.lines[0]).toEqual(["debug", { a: 1 }, "m"]);
  });

  test.each([
    ["is missing", undefined],
    [
      "throws",
      () => {
        throw new Error("x");
      },
    ],
    ["returns nothing", () => undefined as never],
    ["returns no logger", () => ({}) as never],
    ["returns a promise", () => Promise.resolve(recorder()) as never],
  ])("adds the bindings itself when child %s, and the line's own fields win", (_, child) => {
    const inner = recorder(child);
    const logger = safeLogger(inner).child({ a: 0, b: 2 }).child({ c: 3 });
    logger.warn({ a: 1 }, "m");
    expect(inner.lines).toEqual([["warn", { a: 1, b: 2, c: 3 }, "m"]]);
  });

  test("survives a child that throws when it is used", () => {
    const bad = () => {
      throw new Error("x");
    };
    const logger = safeLogger(recorder(() => ({ debug: bad, info: bad, warn: bad, error: bad })));
    expect(() => {
      logAll(logger.child({}));
    }).not.toThrow();
  });

  test("survives bindings that cannot be read", () => {
    const bindings = {
      get b(): never {
        throw new Error("x");
      },
    };
    const logger = safeLogger(recorder());
    expect(() => {
      logAll(logger.child(bindings));
    }).not.toThrow();
    expect(() => {
      logAll(logger.child({}).child(bindings));
    }).not.toThrow();
  });

  test("wraps only once", () => {
    const logger = safeLogger(recorder());
    expect(safeLogger(logger)).toBe(logger);
    const child = logger.child({});
    expect(safeLogger(child)).toBe(child);
  });
});

describe("a line that is the only copy of something", () => {
  const LINE = ["error", { b: 2, result: { a: 1 } }, "gone; this line is all that is left of it"];

  test("is an error of any logger, and says what it is", () => {
    const own = recorder();
    logOnlyCopy(own, { b: 2, result: { a: 1 } }, "gone");
    logOnlyCopy(safeLogger(own), { b: 2, result: { a: 1 } }, "gone");
    logOnlyCopy(safeLogger(own).child({ b: 2 }), { result: { a: 1 } }, "gone");
    expect(own.lines).toEqual([LINE, LINE, LINE]);
  });

  test("harms nobody when the logger throws or rejects", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const throws = () => {
      throw new Error("x");
    };
    const rejects = (): unknown => Promise.reject(new Error("x"));
    for (const error of [throws, rejects]) logOnlyCopy(safeLogger({ ...recorder(), error }), {}, "gone");
    await nextTurn();
    await nextTurn();
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe("the default logger", () => {
  const run = async (code: string, redirect = "") => {
    const script = `import { createDefaultLogger } from "./src/log/default-logger.ts"; ${code}`;
    const shell = `exec "$0" --import tsx --input-type=module -e "$1" ${redirect}`;
    return promisify(execFile)("/bin/sh", ["-c", shell, process.execPath, script], { cwd: process.cwd() });
  };

  test("writes JSON to stdout, with errors in pino's form, from its level on", async () => {
    const { stdout } = await run(`
      const logger = await createDefaultLogger("warn");
      logger.info({}, "unseen");
      logger.child({ taskId: "t" }).error({ err: new TypeError("bad") }, "seen");
    `);
    const lines = stdout.trim().split("\n");
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toMatchObject({
      level: 50,
      name: "ostinato",
      taskId: "t",
      msg: "seen",
      err: { type: "TypeError", message: "bad", stack: expect.stringContaining("TypeError: bad") },
    });
  });

  test("rejects a level that pino does not have", async () => {
    const { stdout } = await run(
      `createDefaultLogger("loud").catch((error) => console.log("refused", error.message));`,
    );
    expect(stdout).toContain("refused");
  });

  test.runIf(process.platform === "linux")("loses lines, not the process, when stdout is full", async () => {
    const { stderr } = await run(
      `const logger = await createDefaultLogger("info");
       for (let i = 0; i < 3; i++) { try { logger.info({ i }, "x"); } catch {} }
       setTimeout(() => { logger.info({}, "y"); console.error("alive"); }, 20);`,
      ">/dev/full",
    );
    expect(stderr).toContain("alive");
  });

  test.runIf(process.platform === "linux")("keeps a bounded part of what a full stdout does not take", async () => {
    const { stderr } = await run(
      `const logger = await createDefaultLogger("info");
       const before = process.memoryUsage().heapUsed;
       for (let i = 0; i < 60_000; i++) logger.info({ i, text: "x".repeat(200) }, "x");
       process.getBuiltinModule("node:v8").setFlagsFromString("--expose-gc");
       process.getBuiltinModule("node:vm").runInNewContext("gc")();
       console.error("grew", process.memoryUsage().heapUsed - before < 8e6 ? "little" : "much");`,
      ">/dev/full",
    );
    expect(stderr).toContain("grew little");
  });

  test.runIf(process.platform === "linux")("waits for no reader: each line is there when it reads again", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "ostinato-log-"));
    // 15 times what a pipe holds; the reader begins when the last of it was logged.
    const until = (file: string) =>
      `i=0; until [ -e ${folder}/${file} ] || [ $i = 100 ]; do sleep 0.1; i=$((i + 1)); done`;
    const { stdout } = await run(
      `const { existsSync, writeFileSync } = process.getBuiltinModule("node:fs");
       const logger = await createDefaultLogger("info");
       for (let i = 0; i < 900; i++) logger.info({ i, text: "x".repeat(1000) }, "x");
       writeFileSync("${folder}/logged", "");
       const held = setInterval(() => existsSync("${folder}/read") && clearInterval(held), 20);`,
      `| { ${until("logged")}; [ -e ${folder}/logged ] && head -n 900; touch ${folder}/read; }`,
    );
    rmSync(folder, { recursive: true });
    const numbers = stdout
      .trim()
      .split("\n")
      .map((line) => (JSON.parse(line) as { i: number }).i);
    expect(numbers).toEqual(Array.from({ length: 900 }, (_, i) => i));
  });
});
