import { readdirSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigurationError, defineWorker, TaskHandler, type TaskHandlerOptions } from "../../../../src/index.js";
import { silentLogger } from "../../../support/log/loggers.js";
import { temporaryFolder } from "../../../support/unit/journal.js";

/** Nothing listens there. */
const serverUrl = "http://127.0.0.1:1/api";
const worker = defineWorker({ taskDefName: "work", execute: () => ({}) });

function handlerWith(options: Partial<TaskHandlerOptions>): TaskHandler {
  return new TaskHandler({ serverUrl, workers: [worker], logger: silentLogger, registry: false, ...options });
}

describe("the journal of a handler", () => {
  test("a handler has one file while it runs and none after, as often as it is started", async () => {
    const dir = path.join(temporaryFolder(), "journal");
    const handler = handlerWith({ journal: { dir } });
    for (let i = 0; i < 2; i += 1) {
      await handler.start();
      expect(readdirSync(dir)).toEqual([expect.stringMatching(/^\d+-[0-9a-f]{12}\.journal$/)]);
      await handler.stop({ drainTimeoutMs: 0 });
      expect(readdirSync(dir)).toEqual([]);
    }
  });

  test("a start that fails for another reason leaves none", async () => {
    const dir = temporaryFolder();
    const taken = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => taken.once("listening", resolve));
    try {
      const { port } = taken.address() as net.AddressInfo;
      await expect(handlerWith({ journal: { dir }, adminPort: port }).start()).rejects.toThrow(/EADDRINUSE|in use/);
      expect(readdirSync(dir)).toEqual([]);
    } finally {
      taken.close();
    }
  });

  test("a folder that cannot be one is refused by start()", async () => {
    const file = path.join(temporaryFolder(), "file");
    writeFileSync(file, "");
    await expect(handlerWith({ journal: { dir: file } }).start()).rejects.toThrow(ConfigurationError);
  });
});
