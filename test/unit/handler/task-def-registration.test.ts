import { describe, expect, test } from "vitest";
import { MetadataClient } from "../../../src/client/metadata-client.js";
import type { TaskDef } from "../../../src/conductor/types.js";
import {
  pauseMs,
  registrationsOf,
  startTaskDefRegistrar,
  type TaskDefRegistration,
} from "../../../src/handler/task-def-registration.js";
import type { Exchange, HttpRequest } from "../../../src/http/exchange.js";
import type { Logger } from "../../../src/log/logger.js";
import { createRepeatLog } from "../../../src/log/repeat-log.js";
import { FakeClock, settle } from "../../support/time/fake-clock.js";

const answered = (status: number, value?: unknown): Exchange => ({
  kind: "answered",
  status,
  body:
    value === undefined
      ? ""
      : typeof value === "string"
        ? value
        : JSON.stringify(status < 300 ? value : { status, ...(value as object) }),
  contentType: "application/json",
});
const refused: Exchange = { kind: "notSent", fault: { code: "CONNECT_FAILED", message: "ECONNREFUSED" } };

/** A server that keeps definitions, and answers with a fault as long as it has one. */
function createWorld(registrations: readonly TaskDefRegistration[], existing: readonly TaskDef[] = []) {
  const clock = new FakeClock();
  const defs = new Map(existing.map((definition) => [definition.name, definition]));
  const requests: HttpRequest[] = [];
  const lines: string[] = [];
  const world = {
    clock,
    defs,
    requests,
    lines,
    fault: undefined as ((request: HttpRequest) => Exchange | Promise<Exchange> | undefined) | undefined,
  };
  const write = (level: string) => (fields: object, message: string) => {
    lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const log: Logger = { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
  const request = async (request: HttpRequest): Promise<Exchange> => {
    requests.push(request);
    const fault = await world.fault?.(request);
    if (fault !== undefined) return fault;
    if (request.method === "POST") {
      for (const definition of JSON.parse(String(request.body)) as TaskDef[]) defs.set(definition.name, definition);
      return answered(200);
    }
    const name = decodeURIComponent(request.path.split("/").at(-1)!);
    const found = defs.get(name);
    return found === undefined
      ? answered(404, { message: `No such taskType found by name: ${name}` })
      : answered(200, found);
  };
  const start = () =>
    startTaskDefRegistrar({
      registrations,
      metadata: new MetadataClient({ request, close: async () => {} }, 1_000),
      clock,
      random: () => 0,
      log,
      repeatLog: createRepeatLog({ clock, logger: log }),
    });
  return Object.assign(world, { start });
}

const methods = (requests: readonly HttpRequest[]) => requests.map(({ method }) => method);

describe("registering task definitions", () => {
  describe("on the server", () => {
    test("creates what is not there: by name only, or with fields", async () => {
      const world = createWorld([
        { name: "a b", wanted: true },
        { name: "c", wanted: { retryCount: 1 } },
      ]);
      await world.start().done;
      expect(world.requests[0]!.path).toBe("/metadata/taskdefs/a%20b");
      expect(Object.fromEntries(world.defs)).toEqual({ "a b": { name: "a b" }, c: { name: "c", retryCount: 1 } });
      expect(world.lines).toEqual([
        expect.stringContaining("info task definition a b: created"),
        expect.stringContaining("c: created"),
      ]);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test("leaves what is there and as it is wanted", async () => {
      const there = [
        { name: "a", retryCount: 9 },
        { name: "b", retryCount: 1, description: "kept" },
      ];
      const world = createWorld(
        [
          { name: "a", wanted: true },
          { name: "b", wanted: { retryCount: 1 } },
        ],
        there,
      );
      await world.start().done;
      expect(methods(world.requests)).toEqual(["GET", "GET"]);
      expect(world.lines.every((line) => line.startsWith("debug"))).toBe(true);
    });

    test("writes the named fields over what differs, keeps the others, and says how it differed", async () => {
      const world = createWorld(
        [{ name: "a", wanted: { retryCount: 1, ownerEmail: "x@y.z" } }],
        [{ name: "a", retryCount: 3, description: "kept" }],
      );
      await world.start().done;
      expect(world.defs.get("a")).toEqual({ name: "a", retryCount: 1, ownerEmail: "x@y.z", description: "kept" });
      expect(world.lines).toEqual([
        expect.stringContaining("retryCount is 3 on the server and 1 here; ownerEmail is not set on the server and"),
      ]);
    });

    test("does not write what the server would refuse together with what it has", async () => {
      const world = createWorld(
        [
          { name: "a", wanted: { responseTimeoutSeconds: 600 } },
          { name: "b", wanted: true },
        ],
        [{ name: "a", timeoutSeconds: 300, responseTimeoutSeconds: 300 }],
      );
      await world.start().done;
      expect(world.lines[0]).toContain("error task definition a: left as it is: together with what the server has");
      expect(world.lines[0]).toContain("responseTimeoutSeconds 600 is more than timeoutSeconds 300");
      expect(world.defs.get("a")).toMatchObject({ responseTimeoutSeconds: 300 });
      expect(world.defs.has("b")).toBe(true);
    });

    test.each([
      ["nobody there", refused],
      ["503", answered(503)],
      ["a page", answered(200, "<html>")],
      ["a proxy's 404", answered(404)],
      ["a proxy's 403", answered(403)],
      ["no token", answered(401, { message: "no token" })],
    ])("goes on until the server is back (%s), with one request a pause for all of them", async (_what, fault) => {
      const world = createWorld([
        { name: "a", wanted: true },
        { name: "b", wanted: true },
      ]);
      world.fault = () => fault;
      const { done } = world.start();
      await world.clock.advanceAsync(120_000);
      expect(world.requests.length).toBeGreaterThanOrEqual(8);
      expect(world.requests.length).toBeLessThanOrEqual(11);
      expect(world.lines.length).toBeLessThanOrEqual(3);
      world.fault = undefined;
      await world.clock.advanceAsync(30_000);
      await done;
      expect([...world.defs.keys()]).toEqual(["a", "b"]);
      expect(world.lines.some((line) => line.includes("works again"))).toBe(true);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test.each([
      ["400", answered(400, { message: "ownerEmail cannot be empty", retryable: false })],
      ["403 of Conductor", answered(403, { message: "no rights", retryable: false })],
      ["404 of the endpoint", answered(404, { message: "No static resource api/metadata/taskdefs", retryable: false })],
      ["405", answered(405, { message: "Request method 'POST' is not supported", retryable: false })],
    ])("gives up on what is refused for good (%s), says so, and goes on with the rest", async (_what, refusal) => {
      const world = createWorld([
        { name: "a", wanted: true },
        { name: "b", wanted: true },
      ]);
      world.fault = ({ body }) => (body?.includes('"a"') === true ? refusal : undefined);
      await world.start().done;
      expect(methods(world.requests)).toEqual(["GET", "POST", "GET", "POST"]);
      expect(world.lines[0]).toMatch(/^error the task definition was refused; it is not registered .*"taskType":"a"/);
      expect([...world.defs.keys()]).toEqual(["b"]);
    });

    test("does not let one that keeps failing hold up the others", async () => {
      const world = createWorld([
        { name: "a", wanted: true },
        { name: "b", wanted: true },
      ]);
      world.fault = ({ body }) =>
        body?.includes('"a"') === true ? answered(500, { message: "boom", retryable: false }) : undefined;
      const registrar = world.start();
      await settle();
      expect([...world.defs.keys()]).toEqual(["b"]);
      await world.clock.advanceAsync(60_000);
      expect(world.requests.length).toBeLessThanOrEqual(4 + 2 * 8);
      registrar.stop();
      await registrar.done;
    });

    test("stops in a pause and in the middle of a request", async () => {
      const away = createWorld([{ name: "a", wanted: true }]);
      away.fault = () => refused;
      const first = away.start();
      await away.clock.advanceAsync(10_000);
      first.stop();
      await first.done;
      expect(away.clock.pendingTimers).toBe(0);
      const sent = away.requests.length;
      await away.clock.advanceAsync(100_000);
      expect(away.requests).toHaveLength(sent);

      const slow = createWorld([
        { name: "a", wanted: true },
        { name: "b", wanted: true },
      ]);
      let answer: (exchange: Exchange) => void = () => {};
      slow.fault = () => new Promise<Exchange>((resolve) => (answer = resolve));
      const second = slow.start();
      second.stop();
      await settle();
      answer(answered(404, { message: "No such taskType found" }));
      await second.done;
      expect(slow.requests).toHaveLength(1);
      expect(slow.lines).toEqual([]);
    });
  });

  describe("the parts", () => {
    test("pauses double up to half a minute, and can be made longer by the server", () => {
      expect([0, 1, 2].map((failures) => pauseMs(failures, () => 0))).toEqual([500, 1_000, 2_000]);
      expect(pauseMs(1_000, () => 1)).toBeCloseTo(30_000);
      expect(pauseMs(0, () => 0, 7_000)).toBe(7_000);
      expect(pauseMs(0, () => 0, 3_600_000)).toBe(30_000);
    });

    test("one registration for each task type, and fields win", () => {
      const fields = { retryCount: 1 };
      expect(
        registrationsOf([
          { taskDefName: "a", registerTaskDef: true },
          { taskDefName: "a", registerTaskDef: fields },
          { taskDefName: "a", registerTaskDef: true },
          { taskDefName: "b" },
          { taskDefName: "c", registerTaskDef: true },
        ]),
      ).toEqual([
        { name: "a", wanted: fields },
        { name: "c", wanted: true },
      ]);
    });
  });

  test.each([429, 503])(
    "a %i in Conductor's own words makes all definitions wait, not each of them ask",
    async (status) => {
      const world = createWorld(Array.from({ length: 50 }, (_, i) => ({ name: `t${i}`, wanted: true })));
      world.fault = () => answered(status, { message: "too many requests", retryable: true });
      const registrar = world.start();
      await world.clock.advanceAsync(30_000);
      registrar.stop();
      expect(world.requests.length).toBeLessThan(12);
    },
  );
});
