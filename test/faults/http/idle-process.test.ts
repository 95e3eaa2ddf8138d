import { spawn } from "node:child_process";
import http from "node:http";
import type net from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

describe("the HTTP transport", () => {
  test("a transport that is idle and was not closed lets the process end", async () => {
    const server = http.createServer((_request, response) => response.end("ok"));
    server.keepAliveTimeout = 60_000;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as net.AddressInfo;
    const fixture = fileURLToPath(new URL("../../support/faults/idle-process.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", fixture, `http://127.0.0.1:${port}`]);
    let output = "";
    let answeredAtMs = 0;
    child.stdout.on("data", (bytes: Buffer) => {
      output += bytes.toString();
      answeredAtMs = performance.now();
    });
    child.stderr.on("data", (bytes: Buffer) => (output += bytes.toString()));
    const code = await new Promise((resolve) => child.once("exit", resolve));
    expect({ code, output }).toEqual({ code: 0, output: "answered\nanswered\n" });
    // Neither the deadlines of 60 s nor the idle connections of 4 s and more were waited for.
    expect(performance.now() - answeredAtMs).toBeLessThan(2_000);
    server.closeAllConnections();
    server.close();
  });
});
