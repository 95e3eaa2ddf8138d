import { describe, expect, test, vi } from "vitest";
import { memoryLogger, silentLogger } from "../../../support/log/loggers.js";
import type { ModelServer } from "../../../support/servers/model-server.js";
import {
  answered,
  createScriptedWorld,
  drain,
  failed,
  handOut,
  lostAnswer,
  nonsense,
  parse,
  record,
  refused,
} from "../../../support/unit/runner.js";
import { createWorld, workerConfig } from "../../../support/unit/runner-world.js";

function pushMany(server: ModelServer, count: number, from = 0): void {
  for (let i = from; i < from + count; i += 1) server.push(`a${i}`, "t");
}

describe("delivery", () => {
  describe("a result is delivered", () => {
    test.each([
      ["a lost answer", lostAnswer()],
      ["nonsense", nonsense()],
      ["503", refused(503)],
      ["429", refused(429, "slow down")],
      ["401", refused(401)],
      ["a proxy's 404", refused(404)],
      ["a maintenance page's 405", refused(405)],
      ["a retryable 500", refused(500, "boom", { retryable: true })],
    ])("after %s, again by POST /tasks, with the same bytes", async (_name, reply) => {
      const bodies: string[] = [];
      const world = createScriptedWorld([workerConfig("t", () => ({ n: 1 }))], (model) => ({
        update: async (taskId, body) => {
          bodies.push(String(body));
          await world.sleep(1);
          return bodies.length === 1 ? reply : model.update(taskId, body);
        },
      }));
      const updated = record(world, "taskUpdated");
      const failures = record(world, "taskUpdateFailed");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(10_000);
      expect(updated).toMatchObject([{ taskId: "a", attempts: 2, status: "COMPLETED" }]);
      expect(failures).toMatchObject([{ taskId: "a", attempts: 1 }]);
      expect(bodies[1]).toBe(bodies[0]);
      expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0 });
    });

    test("the slot is held for the first attempt and free while the result waits", async () => {
      const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
        update: async () => {
          await world.sleep(1_000);
          return lostAnswer();
        },
      }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(900);
      expect(world.group.status).toMatchObject({ runners: [{ running: 1 }], resultsWaiting: 0 });
      await world.clock.advanceAsync(200);
      expect(world.group.status).toMatchObject({ runners: [{ running: 0 }], resultsWaiting: 1 });
    });

    test("that takes longer than a request may is given more time, and said once", async () => {
      const deadlines: (number | undefined)[] = [];
      const warn = vi.fn();
      const log = { ...silentLogger, warn };
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}))],
        (model) => ({
          update: async (taskId, body, deadlineMs = 10_000) => {
            deadlines.push(deadlineMs);
            await world.sleep(Math.min(deadlineMs, 70_000));
            return deadlineMs >= 70_000 ? model.update(taskId, body) : failed("maybeApplied", "DEADLINE_EXCEEDED");
          },
        }),
        { maxRequestMs: 75_000, log },
      );
      const updated = record(world, "taskUpdated");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(600_000);
      expect(updated).toMatchObject([{ taskId: "a", status: "COMPLETED" }]);
      expect([...new Set(deadlines)]).toEqual([10_000, 20_000, 40_000, 75_000]);
      expect(warn.mock.calls.filter(([, text]) => String(text).includes("given more"))).toHaveLength(1);
    });

    test("no later than ever where nobody is answered: the server is silent, and comes back", async () => {
      const deadlines: (number | undefined)[] = [];
      const silence = async (deadlineMs: number) => {
        deadlines.push(deadlineMs);
        await world.sleep(deadlineMs);
        return failed("maybeApplied", "DEADLINE_EXCEEDED");
      };
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}))],
        (model) => ({
          pollBatch: (request) =>
            deadlines.length > 0 ? silence(request.timeoutMs + 10_000) : model.pollBatch(request),
          update: (_taskId, _body, deadlineMs = 10_000) => silence(deadlineMs),
        }),
        { maxRequestMs: 90_000 },
      );
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(300_000);
      expect(Math.max(...deadlines.map(Number))).toBeLessThanOrEqual(12_000);
    });

    test("404 no such task: nobody waits for it", async () => {
      const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
        update: () => Promise.resolve(refused(404, "No such task found by id: a")),
      }));
      const moot = record(world, "taskMoot");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(100);
      expect(moot).toMatchObject([{ taskId: "a", reason: "No such task found by id: a" }]);
      expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0 });
    });
  });

  describe("a result that the server does not take", () => {
    test("after 400 in Conductor's words becomes a terminal failure that says why, at once, and is recorded", async () => {
      const reply = refused(400, "output is bad");
      const world = createScriptedWorld([workerConfig("t", () => ({ n: 1 }))], (model) => ({
        update: (taskId, body) =>
          parse(body).status === "COMPLETED" ? Promise.resolve(reply) : model.update(taskId, body),
      }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(100);
      expect(world.server.updates).toMatchObject([
        {
          status: "FAILED_WITH_TERMINAL_ERROR",
          outputData: {},
          reasonForIncompletion: "the server refused the result: output is bad",
        },
      ]);
      expect(undeliverable).toMatchObject([
        { taskId: "a", attempts: 1, result: { status: "COMPLETED", outputData: { n: 1 } } },
      ]);
      expect(world.group.status.inFlight).toBe(0);
    });

    test("and whose failure is refused as well is let go, recorded once", async () => {
      const world = createScriptedWorld([workerConfig("t", () => ({ n: 1 }))], () => ({
        update: () => Promise.resolve(refused(400, "no")),
      }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(100);
      expect(undeliverable).toHaveLength(1);
      expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0, runners: [{ running: 0 }] });
    });

    test("does not hold up the others, and ends as a failure that carries the server's words", async () => {
      const isPoison = (body: string | Buffer) => parse(body).taskId === "a0" && parse(body).status === "COMPLETED";
      const boom = refused(500, "cannot read the output", { retryable: false });
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        update: (taskId, body) => (isPoison(body) ? Promise.resolve(boom) : model.update(taskId, body)),
        updateV2: (body) => (isPoison(body) ? Promise.resolve(boom) : model.updateV2(body)),
      }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      pushMany(world.server, 50);
      await world.clock.advanceAsync(1_000);
      expect(world.server.count("COMPLETED")).toBe(49);
      await world.clock.advanceAsync(10_000);
      expect(undeliverable).toMatchObject([{ taskId: "a0" }]);
      expect(world.server.updates.find(({ taskId }) => taskId === "a0")).toMatchObject({
        status: "FAILED_WITH_TERMINAL_ERROR",
        reasonForIncompletion: "the server refused the result: cannot read the output",
      });
    });

    describe("for a stranger refuses it alone", () => {
      const STRANGERS = [400, 402, 403, 405, 406, 409, 410, 413, 415, 429, 431, 451, 500, 501, 503, 302].map(
        (status) => [`HTTP ${status}`, refused(status)] as const,
      );
      const OTHERS = [
        ["nonsense with status 200", nonsense()],
        ["a connection that breaks", lostAnswer()],
        ["a retryable 500 of Conductor's", refused(500, "Incorrect string value", { retryable: true })],
      ] as const;
      const isBad = (body: string | Buffer) => parse(body).status === "COMPLETED" && parse(body).taskId === "a0";

      test.each([...STRANGERS, ...OTHERS])("(%s), becomes a failure that says why", async (_name, reply) => {
        const { log, lines } = memoryLogger();
        const world = createScriptedWorld(
          [workerConfig("t", () => ({ n: 1 }))],
          (model) => ({
            update: (taskId, body) => (isBad(body) ? Promise.resolve(reply) : model.update(taskId, body)),
            updateV2: (body) => (isBad(body) ? Promise.resolve(reply) : model.updateV2(body)),
          }),
          { log },
        );
        const undeliverable = record(world, "taskUndeliverable");
        world.group.start();
        // Nothing else is delivered: that its endpoint is well is found out by asking.
        pushMany(world.server, 1);
        await world.clock.advanceAsync(8_000);
        expect(lines.filter((line) => line.includes("refused while others are taken"))).toHaveLength(1);
        await world.clock.advanceAsync(150_000);
        expect(undeliverable).toMatchObject([{ taskId: "a0", result: { status: "COMPLETED", outputData: { n: 1 } } }]);
        expect(world.server.updates).toMatchObject([
          { status: "FAILED_WITH_TERMINAL_ERROR", reasonForIncompletion: /^the server refused the result: / },
        ]);
        expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0, serverReachable: true });
      });

      test.each([...STRANGERS, ...OTHERS])("(%s), and its task has timed out: it is moot", async (_name, reply) => {
        const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
          update: () => Promise.resolve(reply),
        }));
        const moot = record(world, "taskMoot");
        world.group.start();
        pushMany(world.server, 1);
        await world.clock.advanceAsync(100);
        world.server.tasks.get("a0")!.status = "FAILED";
        await world.clock.advanceAsync(60_000);
        expect(moot).toMatchObject([{ taskId: "a0" }]);
        expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0 });
      });

      test.each([...STRANGERS.slice(0, 3), ...OTHERS])(
        "(%s), a thousand times over: the others do not wait",
        async (_name, reply) => {
          const bad = (body: string | Buffer) =>
            parse(body).status === "COMPLETED" && parse(body).taskId.startsWith("bad");
          const world = createScriptedWorld([workerConfig("t", () => ({}), { concurrency: 200 })], (model) => ({
            update: (taskId, body) => (bad(body) ? Promise.resolve(reply) : model.update(taskId, body)),
            updateV2: (body) => (bad(body) ? Promise.resolve(reply) : model.updateV2(body)),
          }));
          world.group.start();
          for (let i = 0; i < 1_100; i += 1) world.server.push(`bad${i}`, "t");
          await world.clock.advanceAsync(180_000);
          expect(world.group.status).toMatchObject({ resultsWaiting: 0, outboxFull: false });
          expect(world.server.count("FAILED_WITH_TERMINAL_ERROR")).toBe(1_100);
          world.server.push("good", "t");
          await world.clock.advanceAsync(1_000);
          expect(world.server.count("COMPLETED")).toBe(1);
        },
        60_000,
      );
    });

    test.each([400, 401, 403, 404, 405, 409, 413, 415, 431, 500, 503, 302])(
      "because a stranger answers everything with %i, is kept for as long as that lasts",
      async (status) => {
        const world = createWorld([workerConfig("t", () => world.sleep(500), { concurrency: 5 })]);
        const undeliverable = record(world, "taskUndeliverable");
        world.group.start();
        pushMany(world.server, 5);
        await world.clock.advanceAsync(300);
        world.server.fate = () => refused(status);
        await world.clock.advanceAsync(600_000);
        expect(undeliverable).toEqual([]);
        expect(world.group.status).toMatchObject({ resultsWaiting: 5, serverReachable: false });
        world.server.fate = () => "ok";
        await world.clock.advanceAsync(40_000);
        expect(world.server.count("COMPLETED")).toBe(5);
      },
    );

    test.each([400, 403, 405, 409, 413, 500, 302])(
      "because POST /tasks is refused to all (%i), is kept, said once, and holds up no polls",
      async (status) => {
        const { log, lines } = memoryLogger();
        const world = createWorld([workerConfig("t", () => world.sleep(500), { concurrency: 5 })], { log });
        const undeliverable = record(world, "taskUndeliverable");
        world.group.start();
        world.server.fate = (request) => (request === "update" ? refused(status) : "ok");
        pushMany(world.server, 20);
        await world.clock.advanceAsync(300_000);
        expect(undeliverable).toEqual([]);
        expect(world.group.status).toMatchObject({ resultsWaiting: 20, serverReachable: true });
        const said = lines.filter((line) => line.startsWith("warn results are not taken"));
        expect(said.length).toBeGreaterThan(0);
        expect(said.length).toBeLessThan(8);
        world.server.fate = () => "ok";
        await world.clock.advanceAsync(40_000);
        expect(world.server.count("COMPLETED")).toBe(20);
      },
    );

    test("while no other is taken either, is kept for a minute: it may be the server", async () => {
      let isBroken = true;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        update: (taskId, body) =>
          isBroken ? Promise.resolve(refused(500, "boom", { retryable: false })) : model.update(taskId, body),
      }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(50_000);
      isBroken = false;
      await world.clock.advanceAsync(10_000);
      expect(world.server.count("COMPLETED")).toBe(1);
    });

    test("while Conductor fails over everything, is kept for as long as that lasts", async () => {
      const boom = () => Promise.resolve(refused(500, "boom", { retryable: false }));
      let isBroken = false;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        pollBatch: (request) => (isBroken ? boom() : model.pollBatch(request)),
        update: (taskId, body) => (isBroken ? boom() : model.update(taskId, body)),
        updateV2: (body) => (isBroken ? boom() : model.updateV2(body)),
        get: (taskId) => (isBroken ? boom() : model.get(taskId)),
        queueSizes: (names) => (isBroken ? boom() : model.queueSizes(names)),
      }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      await world.clock.advanceAsync(10);
      world.server.push("a", "t");
      isBroken = true;
      await world.clock.advanceAsync(10 * 60_000);
      expect(undeliverable).toEqual([]);
      isBroken = false;
      await world.clock.advanceAsync(30_000);
      expect(world.server.count("COMPLETED")).toBe(1);
    });
  });

  describe("update-v2", () => {
    test.each([
      ["404", refused(404, "No static resource api/tasks/update-v2.")],
      ["a proxy's 404", refused(404)],
      ["405", refused(405, "Request method 'POST' is not supported")],
      ["400 of a gateway", refused(400)],
      ["401 of a gateway", refused(401)],
      ["403 of a gateway", refused(403)],
      ["a login page with status 200", nonsense()],
      ["a redirect", refused(302)],
      ["500 in Conductor's words", refused(500, "Request method 'POST' is not supported", { retryable: false })],
    ])("that is refused (%s) costs nothing, is said once and asked again now and then", async (_name, reply) => {
      let asked = 0;
      let isThere = false;
      const { log, lines } = memoryLogger();
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}))],
        (model) => ({
          updateV2: async (body) => {
            asked += 1;
            await world.sleep(1);
            return isThere ? model.updateV2(body) : reply;
          },
        }),
        { log },
      );
      const said = () => lines.filter((line) => line.includes("update-v2")).map((line) => line.slice(0, 4));
      world.group.start();
      pushMany(world.server, 100);
      await world.clock.advanceAsync(5_000);
      expect({ asked, done: world.server.count("COMPLETED"), said: said() }).toEqual({
        asked: 1,
        done: 100,
        said: ["warn"],
      });
      // Due after 10 s, 20 s, and so on up to ten minutes; one result at a time finds out.
      for (let i = 1; i <= 8; i += 1) {
        await world.clock.advanceAsync(600_000);
        pushMany(world.server, 10, 100 + 10 * i);
        await world.clock.advanceAsync(1_000);
        expect(asked).toBe(1 + i);
        pushMany(world.server, 10, 1_000 + 10 * i);
        await world.clock.advanceAsync(1_000);
        expect(asked).toBe(1 + i);
      }
      expect(said()).toEqual(["warn"]);
      isThere = true;
      await world.clock.advanceAsync(600_000);
      pushMany(world.server, 10, 5_000);
      await world.clock.advanceAsync(1_000);
      expect(said()).toEqual(["warn", "info"]);
      expect(world.server.count("COMPLETED")).toBe(270);
    });

    test.each([
      ["503", refused(503)],
      ["429", refused(429)],
      ["500 of a gateway", refused(500)],
      ["a connection that breaks", lostAnswer()],
    ])(
      "over which results fail (%s) where POST /tasks takes them is left alone after the third",
      async (_name, reply) => {
        let asked = 0;
        const world = createScriptedWorld([workerConfig("t", () => ({}))], () => ({
          updateV2: async () => {
            asked += 1;
            await world.sleep(1);
            return reply;
          },
        }));
        world.group.start();
        pushMany(world.server, 200);
        await world.clock.advanceAsync(9_000);
        expect(world.server.count("COMPLETED")).toBe(200);
        expect(asked).toBeLessThanOrEqual(3);
      },
    );

    test("404 no such task is not that", async () => {
      let asked = 0;
      const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
        updateV2: async (body) => {
          asked += 1;
          return asked === 1 ? refused(404, "No such task found by id: x") : model.updateV2(body);
        },
      }));
      const moot = record(world, "taskMoot");
      world.group.start();
      pushMany(world.server, 50);
      await world.clock.advanceAsync(5_000);
      expect(moot).toHaveLength(1);
      expect(asked).toBeGreaterThan(2);
      expect(world.server.count("COMPLETED")).toBe(49);
    });

    test("is not asked for a task for a while after its answer was lost", async () => {
      const askedAt: number[] = [];
      const world = createScriptedWorld([workerConfig("t", () => world.sleep(20))], (model) => ({
        updateV2: async (body) => {
          askedAt.push(world.clock.now());
          if (askedAt.length > 1) return model.updateV2(body);
          await world.sleep(1);
          return lostAnswer();
        },
      }));
      world.group.start();
      pushMany(world.server, 300);
      await world.clock.advanceAsync(8_000);
      expect(askedAt[1]! - askedAt[0]!).toBeGreaterThan(2_000);
      expect(world.server.count("COMPLETED")).toBeGreaterThan(250);
    });
  });

  describe("the outbox", () => {
    test("while it is full nothing is polled; polling goes on when it has shrunk", async () => {
      let isAway = true;
      let polls = 0;
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}), { concurrency: 5 })],
        (model) => ({
          pollBatch: (request) => {
            polls += 1;
            return model.pollBatch(request);
          },
          // Does not tell on the server as a whole, so that polling would go on.
          update: (taskId, body) =>
            isAway ? Promise.resolve(refused(500, "boom", { retryable: true })) : model.update(taskId, body),
          updateV2: (body) =>
            isAway ? Promise.resolve(refused(500, "boom", { retryable: true })) : model.updateV2(body),
        }),
        { outboxLimits: { maxResults: 20, maxBytes: 1e9 } },
      );
      world.group.start();
      pushMany(world.server, 100);
      await world.clock.advanceAsync(10_000);
      const { resultsWaiting } = world.group.status;
      expect(resultsWaiting).toBeGreaterThanOrEqual(20);
      expect(resultsWaiting).toBeLessThanOrEqual(25);
      const before = polls;
      await world.clock.advanceAsync(20_000);
      expect(polls).toBe(before);
      isAway = false;
      await world.clock.advanceAsync(10_000);
      expect(world.server.count("COMPLETED")).toBe(100);
      expect(world.group.status.resultsWaiting).toBe(0);
    });

    test("is full by bytes as well", async () => {
      const world = createScriptedWorld(
        [workerConfig("t", () => ({ text: "x".repeat(1_000) }))],
        () => ({
          update: () => Promise.resolve(refused(500, "boom", { retryable: true })),
          updateV2: () => Promise.resolve(refused(500, "boom", { retryable: true })),
        }),
        { outboxLimits: { maxResults: 1e9, maxBytes: 5_000 } },
      );
      world.group.start();
      pushMany(world.server, 100);
      await world.clock.advanceAsync(10_000);
      expect(world.group.status.resultsWaiting).toBeGreaterThanOrEqual(4);
      expect(world.group.status.resultsWaiting).toBeLessThanOrEqual(6);
    });

    test("a thousand results are delivered soon after the server is back, 16 at a time", async () => {
      let isAway = true;
      let sending = 0;
      let most = 0;
      const world = createScriptedWorld(
        [workerConfig("t", () => world.sleep(500), { concurrency: 1_000 })],
        (model) => ({
          update: async (taskId, body) => {
            sending += 1;
            if (!isAway) most = Math.max(most, sending);
            const reply = isAway ? refused(503) : await model.update(taskId, body);
            sending -= 1;
            return reply;
          },
        }),
      );
      world.group.start();
      pushMany(world.server, 1_000);
      await world.clock.advanceAsync(400);
      expect(world.group.status.runners[0]!.running).toBe(1_000);
      world.server.fate = () => (isAway ? "unavailable" : "ok");
      await world.clock.advanceAsync(20_000);
      expect(world.group.status.resultsWaiting).toBe(1_000);
      isAway = false;
      await world.clock.advanceAsync(6_500);
      expect(world.server.count("COMPLETED")).toBe(1_000);
      expect(most).toBe(16);
    });

    test("a server that answers 503 to everything is met with few requests, and all flows soon after its return", async () => {
      const world = createWorld([workerConfig("t", () => world.sleep(500), { concurrency: 5 })]);
      world.group.start();
      pushMany(world.server, 5);
      await world.clock.advanceAsync(300);
      expect(world.group.status.runners[0]!.running).toBe(5);
      world.server.fate = () => "unavailable";
      const before = world.server.requests;
      await world.clock.advanceAsync(30_000);
      expect(world.group.status).toMatchObject({ resultsWaiting: 5, serverReachable: false });
      // Results that end together go out together, once.
      expect(world.server.requests - before).toBeLessThan(12 + 5);
      const later = world.server.requests;
      await world.clock.advanceAsync(30_000);
      expect(world.server.requests - later).toBeLessThan(12);
      world.server.fate = () => "ok";
      pushMany(world.server, 5, 100);
      await world.clock.advanceAsync(6_000);
      expect(world.server.count("COMPLETED")).toBe(10);
      expect(world.group.status.serverReachable).toBe(true);
    });
  });

  test("what waits when the worker stops is given up with its result, and the next attempt changes nothing", async () => {
    const world = createScriptedWorld([workerConfig("t", () => ({ precious: 1 }))], () => ({
      update: () => Promise.resolve(refused(500, "boom", { retryable: true })),
    }));
    const undeliverable = record(world, "taskUndeliverable");
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(1_000);
    const report = await drain(world, 2_000);
    expect(undeliverable).toMatchObject([{ taskId: "a", result: { outputData: { precious: 1 } } }]);
    expect(report.leftInFlight).toBe(0);
    await world.clock.advanceAsync(60_000);
    expect(undeliverable).toHaveLength(1);
    expect(world.clock.pendingTimers).toBe(0);
  });

  test("a chained task that is none of ours to run leaves by its own door", async () => {
    const updates: string[] = [];
    let chained = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}))], (model) => ({
      updateV2: (body) => {
        chained += 1;
        return chained === 1
          ? Promise.resolve(answered(handOut({ taskId: "odd" }, "inputData is no object")))
          : model.updateV2(body);
      },
      update: (taskId, body) => {
        updates.push(`${taskId} ${parse(body).status}`);
        return taskId === "odd" ? Promise.resolve(answered<true>(true)) : model.update(taskId, body);
      },
    }));
    world.group.start();
    pushMany(world.server, 5);
    await world.clock.advanceAsync(3_000);
    expect(updates).toContain("odd FAILED_WITH_TERMINAL_ERROR");
    expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
  });

  test.each([
    ["403 in Conductor's words", 1, refused(403, "no access to a")],
    ["403 in Conductor's words", 10, refused(403, "no access to a")],
    ["500, retryable", 10, refused(500, "the lock is taken", { retryable: true })],
  ])(
    "results that are refused for what they are (%s, %i of them) do not keep the gate shut",
    async (_name, count, reply) => {
      const done: string[] = [];
      const world = createScriptedWorld(
        [
          workerConfig("a", () => ({}), { concurrency: 20 }),
          workerConfig("b", (_input, ctx) => {
            done.push(ctx.taskId);
            return {};
          }),
        ],
        (model) => ({
          update: async (taskId, body) => {
            if (!taskId.startsWith("a") || model.fate("update") !== "ok") return model.update(taskId, body);
            await world.sleep(1);
            return reply;
          },
        }),
      );
      for (let i = 0; i < count; i += 1) world.server.push(`a${i}`, "a", { responseTimeoutSeconds: 3600 });
      world.group.start();
      await world.clock.advanceAsync(20_000);
      world.server.fate = () => "unavailable";
      await world.clock.advanceAsync(60_000);
      world.server.fate = () => "ok";
      world.server.push("b1", "b");
      await world.clock.advanceAsync(12_000);
      expect(done).toEqual(["b1"]);
      expect(world.group.status.serverReachable).toBe(true);
    },
  );

  test("task types that the server refuses to us do not keep the others waiting after an outage", async () => {
    const done: string[] = [];
    let isAway = false;
    const types = Array.from({ length: 30 }, (_, i) => workerConfig(`forbidden${i}`, () => ({})));
    const b = workerConfig("b", (_input, ctx) => {
      done.push(ctx.taskId);
      return {};
    });
    const world = createScriptedWorld(
      [...types, b],
      (model) => ({
        pollBatch: async (request) => {
          if (!isAway && request.taskType === "b") return model.pollBatch(request);
          await world.sleep(1);
          return isAway ? refused(503) : refused(403, "no access to this task type");
        },
      }),
      { maxHeldPolls: 100 },
    );
    world.group.start();
    await world.clock.advanceAsync(60_000);
    isAway = true;
    await world.clock.advanceAsync(120_000);
    isAway = false;
    world.server.push("b1", "b");
    await world.clock.advanceAsync(12_000);
    expect(done).toEqual(["b1"]);
  });

  test("looking after results that a late extension may have undone waits for the server like everybody else", async () => {
    const TASKS = 200;
    let looks = 0;
    let chance = 0;
    let isAway = false;
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(6_000), { concurrency: TASKS, executionTimeoutMs: 110_000 })],
      (model) => ({
        update: async (taskId, body) => {
          if (parse(body).extendLease !== true) return model.update(taskId, body);
          await world.sleep(900);
          return lostAnswer();
        },
        get: (taskId) => {
          looks += 1;
          return model.get(taskId);
        },
      }),
      // Those that were acknowledged together are not all checked at once.
      { random: () => (chance = (chance + 0.37) % 1) },
    );
    world.server.fate = () => (isAway ? "notSent" : "ok");
    for (let i = 0; i < TASKS; i += 1) world.server.push(`t${i}`, "t", { responseTimeoutSeconds: 10 });
    world.group.start();
    for (let i = 0; i < 200 && world.server.count("COMPLETED") < TASKS; i += 1) await world.clock.advanceAsync(50);
    isAway = true;
    looks = 0;
    await world.clock.advanceAsync(30_000);
    expect(looks).toBeLessThan(60);
    expect(world.group.status.inFlight).toBe(TASKS);
    // It was undone while nobody could look: that is found out when the server is back, however long it was away.
    world.server.tasks.get("t7")!.status = "IN_PROGRESS";
    isAway = false;
    await world.clock.advanceAsync(10_000);
    expect(world.server.count("COMPLETED")).toBe(TASKS);
    expect(world.group.status.inFlight).toBe(0);
  });

  test("a proxy's 404 for update-v2 is found out, and does not hold up the others", async () => {
    let asked = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({}), { concurrency: 2 })], () => ({
      updateV2: async () => {
        asked += 1;
        await world.sleep(1);
        return refused(404);
      },
    }));
    for (let i = 0; i < 100; i += 1) world.server.push(`a${i}`, "t");
    world.group.start();
    await world.clock.advanceAsync(10_000);
    expect({ done: world.server.count("COMPLETED"), askedOften: asked > 4 }).toEqual({ done: 100, askedOften: false });
  });

  test("while results fill the outbox no task is asked for along with an update", async () => {
    const world = createScriptedWorld(
      [workerConfig("t", () => world.sleep(10), { concurrency: 2 })],
      (model) => ({
        // Results of even tasks are not taken, for a reason that does not tell on the server as a whole.
        update: async (taskId, body) => {
          if (Number(taskId.slice(1)) % 2 === 1) return model.update(taskId, body);
          await world.sleep(1);
          return refused(500, "boom");
        },
        updateV2: async (body) => {
          if (Number(parse(body).taskId.slice(1)) % 2 === 1) return model.updateV2(body);
          await world.sleep(1);
          return refused(500, "boom");
        },
      }),
      { outboxLimits: { maxResults: 3, maxBytes: 1e9 } },
    );
    for (let i = 0; i < 1_000; i += 1) world.server.push(`a${i}`, "t");
    world.group.start();
    let most = 0;
    for (let i = 0; i < 200; i += 1) {
      await world.clock.advanceAsync(10);
      most = Math.max(most, world.group.status.resultsWaiting);
    }
    expect(most).toBeLessThanOrEqual(5);
  });

  test("a first delivery that fails by a bug of ours does not cost the result", async () => {
    let attempts = 0;
    const world = createScriptedWorld([workerConfig("t", () => ({ n: 1 }))], (model) => ({
      update: (taskId, body) => {
        if (++attempts === 1) throw new Error("a bug of ours");
        return model.update(taskId, body);
      },
    }));
    world.group.start();
    world.server.push("a", "t");
    await world.clock.advanceAsync(20_000);
    expect(world.server.count("COMPLETED")).toBe(1);
    expect(world.group.status).toMatchObject({ inFlight: 0, runners: [{ running: 0 }] });
  });
});
