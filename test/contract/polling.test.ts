import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { call, wordsFor } from "../support/contract/api.js";
import { onEveryTarget } from "../support/contract/target.js";

/** A held poll is asked for this long, so that "at once" and "at the timeout" cannot be mistaken for each other. */
const HOLD_MS = 1000;
const HELD_AT_LEAST_MS = HOLD_MS - 60;
const SOON_MS = 400;

onEveryTarget("polling", (target) => {
  const { get, del, taskType, workflowDef, start, oneTask, poll, pollOne } = wordsFor(target);

  const batch = async (type: string, count: number, timeoutMs: number) => {
    const answer = await get(`/tasks/poll/batch/${type}?workerid=w1&count=${count}&timeout=${timeoutMs}`);
    return { tasks: answer.json as { taskId: string; status: string }[], ms: answer.ms };
  };

  /** A type with a workflow that consists of one such task. */
  const idleType = async () => {
    const type = await taskType();
    return { type, workflowName: await workflowDef([{ name: type, taskReferenceName: "a" }]) };
  };

  test("answers a poll that does not wait at once, with all that is there up to count", async () => {
    const { type, workflowName } = await idleType();
    expect((await batch(type, 10, 0)).ms).toBeLessThan(SOON_MS);
    for (let index = 0; index < 12; index++) await start(workflowName);
    expect((await batch(type, 10, 0)).tasks).toHaveLength(10);
    expect((await batch(type, 10, 0)).tasks).toHaveLength(2);
  });

  test(target.kind === "instant" ? "never holds a poll" : "holds an empty poll until its timeout", async () => {
    const { type } = await idleType();
    const { tasks, ms } = await batch(type, 1, HOLD_MS);
    expect(tasks).toEqual([]);
    if (target.kind === "instant") expect(ms).toBeLessThan(SOON_MS);
    else expect(ms).toBeGreaterThan(HELD_AT_LEAST_MS);
  });

  if (target.kind !== "instant")
    test("answers a held poll for one task soon after it comes", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 1, 4000);
      await sleep(150);
      const startedAt = performance.now();
      await start(workflowName);
      expect((await held).tasks).toMatchObject([{ status: "IN_PROGRESS" }]);
      expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
    });

  if (target.kind === "patient")
    test("keeps the only task of a larger poll until the timeout", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 10, HOLD_MS);
      await sleep(150);
      await start(workflowName);
      const { tasks, ms } = await held;
      expect(tasks).toHaveLength(1);
      expect(ms).toBeGreaterThan(HELD_AT_LEAST_MS);
    });

  if (target.kind === "patient")
    test("answers a larger poll as soon as it is full", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 3, 4000);
      await sleep(150);
      for (let index = 0; index < 3; index++) await start(workflowName);
      const { tasks, ms } = await held;
      expect(tasks).toHaveLength(3);
      expect(ms).toBeLessThan(1500);
    });

  if (target.kind === "eager")
    test("answers a larger poll at the first task", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 10, 4000);
      await sleep(150);
      await start(workflowName);
      const { tasks, ms } = await held;
      expect(tasks).toHaveLength(1);
      expect(ms).toBeLessThan(150 + SOON_MS);
    });

  if (target.kind === "eager")
    test("shows nothing to a poll that does not wait, while another is held", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 1, 4000);
      await sleep(150);
      const [started, swept] = await Promise.all([start(workflowName), batch(type, 10, 0)]);
      expect(swept.tasks).toEqual([]);
      expect((await held).tasks).toMatchObject([{ workflowInstanceId: started }]);
    });

  if (target.kind === "eager" && target.isEmbedded)
    test("is blind for a while after a held poll ended empty", async () => {
      const { type, workflowName } = await idleType();
      await batch(type, 1, 100);
      await start(workflowName);
      expect((await batch(type, 10, 0)).tasks).toEqual([]);
      await sleep(200);
      expect((await batch(type, 10, 0)).tasks).toHaveLength(1);
    });

  test("gives a task to the dead request of a client that went away while its poll was held", async () => {
    const { type, workflowName } = await idleType();
    const abort = new AbortController();
    const aborted = fetch(`${target.baseUrl}/tasks/poll/batch/${type}?workerid=gone&timeout=3000`, {
      signal: abort.signal,
    }).catch(() => "aborted");
    await sleep(150);
    abort.abort();
    await aborted;
    await sleep(50);
    const workflowId = await start(workflowName);
    await sleep(250);
    const listed = (await get(`/admin/task/${type}`)).json as { status: string }[];
    if (target.kind === "instant") {
      expect(listed).toMatchObject([{ status: "SCHEDULED" }]);
    } else {
      expect(listed).toMatchObject([{ status: "IN_PROGRESS", workerId: "gone", workflowInstanceId: workflowId }]);
      expect((await batch(type, 1, 100)).tasks).toEqual([]);
    }
  });

  test("gives each task to one of many polls only", async () => {
    const { type, workflowName } = await idleType();
    await Promise.all(Array.from({ length: 20 }, () => start(workflowName)));
    const polls = await Promise.all(Array.from({ length: 10 }, () => batch(type, 5, 100)));
    const taskIds = polls.flatMap(({ tasks }) => tasks.map(({ taskId }) => taskId));
    expect(taskIds).toHaveLength(20);
    expect(new Set(taskIds).size).toBe(20);
  });

  test("hands out the higher priority first, then the older (on Redis: each of them, in its own order)", async () => {
    const { type, workflowName } = await idleType();
    const low = await start(workflowName, { priority: 1 });
    await sleep(10);
    const high = await start(workflowName, { priority: 9 });
    await sleep(10);
    const lowLater = await start(workflowName, { priority: 1 });
    const order: string[] = [];
    for (let index = 0; index < 3; index++) order.push((await pollOne(type)).workflowInstanceId);
    if (target.isRedis) expect(order.sort()).toEqual([high, low, lowLater].sort());
    else expect(order).toEqual([high, low, lowLater]);
  });

  test("keeps domains apart", async () => {
    const { type, workflowName } = await idleType();
    const workflowId = await start(workflowName, { taskToDomain: { "*": "blue" } });
    expect(await poll(type)).toEqual([]);
    const task = await pollOne(type, "&domain=blue");
    expect(task).toMatchObject({ workflowInstanceId: workflowId, domain: "blue" });
  });

  test("takes the first domain that somebody polls, else the last one listed", async () => {
    const { type, workflowName } = await idleType();
    const domainOf = async (taskToDomain: object) => {
      const workflowId = await start(workflowName, { taskToDomain });
      return (await get(`/workflow/${workflowId}`)).json.tasks[0].domain as string | undefined;
    };
    expect(await domainOf({ [type]: "red,green" })).toBe("green");
    expect(await domainOf({ [type]: "red,NO_DOMAIN" })).toBeUndefined();
    await poll(type, "&domain=red");
    expect(await domainOf({ [type]: "red,green" })).toBe("red");
    expect(await domainOf({ "*": "green", [type]: "red" })).toBe("red");
  });

  test("takes an empty domain for a domain", async () => {
    const { type, workflowName } = await idleType();
    await start(workflowName);
    expect(await poll(type, "&domain=")).toEqual([]);
    await pollOne(type);
  });

  test("does not hand out what has been cancelled", async () => {
    const { type, workflowId } = await oneTask();
    await del(`/workflow/${workflowId}`);
    expect((await get(`/tasks/queue/size?taskType=${type}`)).text).toBe("0");
    expect(await poll(type)).toEqual([]);
  });

  if (target.kind === "patient")
    test("drops what was cancelled while a larger poll had it already", async () => {
      const { type, workflowName } = await idleType();
      const held = batch(type, 2, HOLD_MS);
      await sleep(100);
      const workflowId = await start(workflowName);
      await sleep(400);
      await del(`/workflow/${workflowId}`);
      expect((await held).tasks).toEqual([]);
    });

  test("postpones what exceeds concurrentExecLimit, and releases one when a slot comes free", async () => {
    const type = await taskType({ concurrentExecLimit: 2 });
    const workflowName = await workflowDef([{ name: type, taskReferenceName: "a" }]);
    for (let index = 0; index < 4; index++) await start(workflowName);
    const first = await poll(type, "&count=4");
    expect(first).toHaveLength(2);
    expect(await poll(type, "&count=4")).toEqual([]);
    const [done] = first;
    await call(target, "POST", "/tasks", {
      taskId: done?.taskId,
      workflowInstanceId: done?.workflowInstanceId,
      status: "COMPLETED",
    });
    const released = [await pollOne(type), ...(await poll(type))];
    expect(released).toHaveLength(1);
  });
});
