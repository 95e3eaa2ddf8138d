import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { createNameService, whyNoNameService } from "../../../support/network/name-service.js";
import { createNetNamespaces, whyNoNamespaces } from "../../../support/network/net-namespace.js";
import { startProcess } from "../../../support/process/process-harness.js";

const SERVER = `
  import net from "node:net";
  net.createServer((socket) => socket.pipe(socket)).listen(7000, () => console.log("listening"));
`;
/** Echoes a line every 100 ms over one connection, and says when an echo comes. */
const CLIENT = (address: string) => `
  import net from "node:net";
  const socket = net.connect(7000, "${address}", () => console.log("connected"));
  let n = 0;
  setInterval(() => socket.write(\`\${++n} \`), 100);
  socket.on("data", (bytes) => console.log("echo " + bytes));
  for (const event of ["error", "close", "end"]) socket.on(event, () => console.log("lost by " + event));
`;

describe("network namespaces", () => {
  test.skipIf(whyNoNamespaces() !== undefined)("packets are dropped without a sign, and pass again", async () => {
    const net = createNetNamespaces();
    const server = startProcess({ source: SERVER, under: net.server });
    await server.waitForLine(/listening/);
    const client = startProcess({ source: CLIENT(net.serverAddress), under: net.client });
    try {
      await client.waitForLine(/echo 3/);
      net.drop();
      await new Promise((resolve) => setTimeout(resolve, 300));
      const before = client.stdout.length;
      await new Promise((resolve) => setTimeout(resolve, 1_200));
      expect(client.stdout.slice(before), "what came while packets were dropped").toEqual([]);
      net.restore();
      await client.waitForLine(/echo .*\b1[5-9]\b/, 10_000);
      expect(client.output).not.toContain("lost");
    } finally {
      await client.kill();
      await server.kill();
      net.close();
    }
  });

  test.skipIf(whyNoNameService() !== undefined)("a name appears, moves and goes, for one process only", async () => {
    const names = createNameService();
    const lookUp = async (): Promise<string> => {
      const script = `require("node:dns").lookup("moving.test", (error, address) => console.log(error ? error.code : address))`;
      const [command, ...args] = [...names.under, process.execPath, "-e", script];
      return (await promisify(execFile)(command, args)).stdout.trim();
    };
    try {
      expect(await lookUp()).toBe("ENOTFOUND");
      names.set("moving.test", "127.0.0.1");
      expect(await lookUp()).toBe("127.0.0.1");
      names.set("moving.test", "127.0.0.2");
      expect(await lookUp()).toBe("127.0.0.2");
      names.set("moving.test", undefined);
      expect(await lookUp()).toBe("ENOTFOUND");
    } finally {
      names.close();
    }
  });

  test("without permission it says so, and in CI it fails", () => {
    const env = process.env.PATH;
    process.env.PATH = "/nowhere";
    delete process.env.OSTINATO_REQUIRE_NAMESPACES;
    try {
      expect(whyNoNamespaces()).toMatch(/no network namespaces here/);
      expect(whyNoNameService()).toMatch(/no mount namespaces here/);
      process.env.OSTINATO_REQUIRE_NAMESPACES = "1";
      expect(() => whyNoNamespaces()).toThrow(/no network namespaces here/);
      expect(() => whyNoNameService()).toThrow(/no mount namespaces here/);
    } finally {
      delete process.env.OSTINATO_REQUIRE_NAMESPACES;
      process.env.PATH = env;
    }
  });
});
