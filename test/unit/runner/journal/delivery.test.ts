import { readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { Reply } from "../../../../src/conductor/reply.js";
import type { Task } from "../../../../src/conductor/types.js";
import type { InFlightTask } from "../../../../src/runner/in-flight.js";
import type { KeptResult, InheritedResult, InheritedSink } from "../../../../src/runner/journal/keeper.js";
import { resultOf, type Parcel } from "../../../../src/runner/parcel.js";
import { makeTask } from "../../../support/servers/conductor-stub.js";
import {
  headerOf,
  journalBytes,
  liveIn,
  openJournal,
  parcelOf,
  temporaryFolder,
} from "../../../support/unit/journal.js";
import {
  answered,
  createScriptedWorld,
  drain,
  entryOf,
  lostAnswer,
  parse,
  record,
  refused,
  type Script,
} from "../../../support/unit/runner.js";
import { workerConfig } from "../../../support/unit/runner-world.js";

/** Remembers what is kept and what has left, in the order of things. */
class MemoryJournal {
  readonly story: string[] = [];
  readonly left: readonly InheritedResult[];
  isOnDisk = true;
  synced: Promise<void> | undefined;

  constructor(left: readonly InheritedResult[] = []) {
    this.left = left;
  }

  keep(_entry: InFlightTask, parcel: Parcel): KeptResult {
    const result = resultOf(parcel);
    this.story.push(`keep ${result.taskId} ${result.status}`);
    return this.kept(result.taskId);
  }

  kept(taskId: string): KeptResult {
    const { isOnDisk, synced } = this;
    return { isOnDisk, synced, settle: () => this.story.push(`settle ${taskId}`) };
  }

  finishedElsewhere(): Promise<ReadonlySet<string>> {
    return Promise.resolve(new Set());
  }

  adoptInto(sink: InheritedSink): void {
    for (const each of this.left) sink.deliverInherited(each);
  }
}

function worldWith(journal: MemoryJournal, script: Script = () => ({}), execute: () => unknown = () => ({})) {
  return createScriptedWorld([workerConfig("t", execute)], script, { journal });
}

describe("delivery with a journal", () => {
  describe("a result of ours", () => {
    test("is in the journal before the first attempt, and out of it once it is acknowledged", async () => {
      const journal = new MemoryJournal();
      const world = worldWith(journal, (model) => ({
        update: (taskId, body) => {
          journal.story.push(`update ${taskId}`);
          return model.update(taskId, body);
        },
      }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      expect(journal.story).toEqual(["keep a COMPLETED", "update a", "settle a"]);
    });

    test("is delivered by update-v2 in the same way", async () => {
      const journal = new MemoryJournal();
      const world = worldWith(journal);
      world.group.start();
      for (let n = 0; n < 20; n += 1) world.server.push(`a${n}`, "t");
      await world.clock.advanceAsync(3_000);
      expect(journal.story).toHaveLength(40);
      expect(journal.story.filter((line) => line.startsWith("settle")).sort()).toEqual(
        Array.from({ length: 20 }, (_, n) => `settle a${n}`).sort(),
      );
    });

    test("waits until it is synced, where that is asked for", async () => {
      const journal = new MemoryJournal();
      let sync = (): void => undefined;
      journal.synced = new Promise((resolve) => (sync = resolve));
      const world = worldWith(journal);
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(5_000);
      expect(world.server.updates).toEqual([]);
      sync();
      await world.clock.advanceAsync(100);
      expect(world.server.updates).toMatchObject([{ taskId: "a", status: "COMPLETED" }]);
    });

    test.each([
      ["the task is gone", refused(404, "No such task found by id: a")],
      ["the server refuses it, and the failure as well", refused(400, "no")],
    ])("is settled by every other door: %s", async (_door, reply) => {
      const journal = new MemoryJournal();
      const world = worldWith(journal, () => ({ update: () => Promise.resolve(reply) }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      expect(journal.story).toEqual(["keep a COMPLETED", "settle a"]);
    });

    test("that is none (a hand-back) is not kept", async () => {
      const journal = new MemoryJournal();
      const world = worldWith(
        journal,
        () => ({}),
        () => new Promise(() => {}),
      );
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(100);
      await drain(world, 1_000);
      expect(world.server.updates).toMatchObject([{ status: "IN_PROGRESS" }]);
      expect(journal.story).toEqual([]);
    });

    test("that waits when the worker stops stays in the journal, and is not called undeliverable", async () => {
      const journal = new MemoryJournal();
      const world = worldWith(journal, () => ({ update: () => Promise.resolve(refused(503)) }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      expect(await drain(world, 2_000)).toMatchObject({ leftInFlight: 0 });
      expect(journal.story).toEqual(["keep a COMPLETED"]);
      expect(undeliverable).toEqual([]);
      expect(world.clock.pendingTimers).toBe(0);
    });

    test("that could not be written when the worker stops is given up, as without a journal", async () => {
      const journal = new MemoryJournal();
      journal.isOnDisk = false;
      const world = worldWith(journal, () => ({ update: () => Promise.resolve(refused(503)) }));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(1_000);
      await drain(world, 2_000);
      expect(undeliverable).toMatchObject([{ taskId: "a" }]);
    });
  });

  /** What a dead process `old` left of the first hand-out of `task`. */
  function inheritedOf(journal: MemoryJournal, taskId: string): InheritedResult {
    const entry = entryOf({ taskId, pollCount: 1 }, { workerId: "old" });
    return { entry, parcel: parcelOf(taskId, { by: "old" }), kept: journal.kept(taskId) };
  }

  function worldAfter(
    taskIds: readonly string[],
    server: (taskId: string) => Reply<Task>,
    script: Script = () => ({}),
  ) {
    const journal = new MemoryJournal();
    const left = taskIds.map((taskId) => inheritedOf(journal, taskId));
    Object.assign(journal, { left });
    const updates: string[] = [];
    const world = worldWith(journal, (model) => ({
      get: (taskId) => Promise.resolve(server(taskId)),
      update: (_taskId, body) => {
        updates.push(String(body));
        return Promise.resolve(answered<true>(true));
      },
      ...script(model),
    }));
    return { world, journal, updates };
  }

  const asOf = (task: Partial<Task>) => answered(makeTask({ taskType: "t", taskDefName: "t", ...task }));
  const stillOurs = { status: "IN_PROGRESS", workerId: "old", pollCount: 1 } as const;

  describe("a result that a dead process left", () => {
    test("is delivered as it is, told of as reclaimed, and settled", async () => {
      const { world, journal, updates } = worldAfter(["a"], () => asOf(stillOurs));
      const reclaimed = record(world, "taskReclaimed");
      const updated = record(world, "taskUpdated");
      world.group.start();
      await world.clock.advanceAsync(100);
      expect(updates).toEqual([String(parcelOf("a", { by: "old" }).body)]);
      expect(reclaimed).toEqual([{ taskType: "t", taskId: "a", workflowInstanceId: "wf-1", reason: "predecessor" }]);
      expect(updated).toMatchObject([{ taskId: "a", status: "COMPLETED" }]);
      expect(journal.story).toEqual(["settle a"]);
      expect(world.group.status).toMatchObject({ inFlight: 0, resultsWaiting: 0 });
    });

    test.each<[string, Reply<Task>]>([
      ["was handed out again", asOf({ ...stillOurs, pollCount: 2 })],
      ["is another worker's", asOf({ ...stillOurs, workerId: "w" })],
      ["waits in the queue", asOf({ ...stillOurs, status: "SCHEDULED" })],
      ["has timed out", asOf({ ...stillOurs, status: "TIMED_OUT" })],
      ["is done (the acknowledgement came, and then the end)", asOf({ ...stillOurs, status: "COMPLETED" })],
      ["is gone", refused(404, "No such task found by id: a")],
    ])("is moot when its task %s", async (_what, reply) => {
      const { world, journal, updates } = worldAfter(["a"], () => reply);
      const moot = record(world, "taskMoot");
      world.group.start();
      await world.clock.advanceAsync(60_000);
      expect(updates).toEqual([]);
      expect(moot).toMatchObject([{ taskId: "a" }]);
      expect(journal.story).toEqual(["settle a"]);
      expect(world.group.status.resultsWaiting).toBe(0);
    });

    test("of another server's stays where it is when ours has never heard of its task", async () => {
      const story: string[] = [];
      const { world, journal, updates } = worldAfter(["a"], () => refused(404, "No such task found by id: a"));
      Object.assign(journal.left[0]!.kept, { leave: () => story.push("leave a") });
      const moot = record(world, "taskMoot");
      world.group.start();
      await world.clock.advanceAsync(60_000);
      expect([...journal.story, ...story]).toEqual(["leave a"]);
      expect([...updates, ...moot]).toEqual([]);
      expect(world.group.status.resultsWaiting).toBe(0);
    });

    test("is looked after anew before each attempt", async () => {
      let pollCount = 1;
      const { world, updates } = worldAfter(
        ["a"],
        () => asOf({ ...stillOurs, pollCount }),
        () => ({
          update: (_taskId, body) => {
            updates.push(String(body));
            pollCount = 2;
            return Promise.resolve(lostAnswer());
          },
        }),
      );
      const moot = record(world, "taskMoot");
      world.group.start();
      await world.clock.advanceAsync(60_000);
      expect(updates).toHaveLength(1);
      expect(moot).toHaveLength(1);
    });

    test("waits while the server cannot be asked", async () => {
      let isAway = true;
      const { world, updates } = worldAfter(["a"], () => (isAway ? refused(503) : asOf(stillOurs)));
      world.server.fate = () => (isAway ? "unavailable" : "ok");
      world.group.start();
      await world.clock.advanceAsync(20_000);
      expect(updates).toEqual([]);
      expect(world.group.status.resultsWaiting).toBe(1);
      isAway = false;
      await world.clock.advanceAsync(10_000);
      expect(updates).toHaveLength(1);
    });

    test("stays where it is when we stop in turn, and does not hold up the stop", async () => {
      const { world, journal } = worldAfter(["a"], () => refused(503));
      const undeliverable = record(world, "taskUndeliverable");
      world.group.start();
      await world.clock.advanceAsync(1_000);
      const { tookMs } = await drain(world);
      expect(tookMs).toBeLessThan(4_000);
      expect(journal.story).toEqual([]);
      expect(undeliverable).toEqual([]);
    });

    test("of which we learn after our stop that it is not needed is settled, and told by who comes next", async () => {
      const { world, journal } = worldAfter(
        ["a"],
        () => refused(503),
        () => ({
          get: async () => {
            await world.sleep(30_000);
            return asOf({ ...stillOurs, status: "COMPLETED" });
          },
        }),
      );
      const moot = record(world, "taskMoot");
      world.group.start();
      await world.clock.advanceAsync(1_000);
      await drain(world);
      expect(journal.story).toEqual([]);
      await world.clock.advanceAsync(60_000);
      expect(journal.story).toEqual(["settle a"]);
      expect(moot).toEqual([]);
    });

    test("does not stand in the way of the same task, handed out to us anew", async () => {
      const { world, updates } = worldAfter(["a"], () => refused(500, "boom", { retryable: true }));
      world.group.start();
      world.server.push("a", "t");
      await world.clock.advanceAsync(3_000);
      expect(updates.map((body) => parse(body).workerId)).toEqual(["w"]);
    });

    test("of thousands: they are handed over as they leave, and new tasks are polled meanwhile", async () => {
      const dir = temporaryFolder();
      writeFileSync(path.join(dir, "4999999-00000000dead.journal"), journalBytes(headerOf(), 3_000));
      const { journal, clock } = openJournal(dir);
      let isAway = true;
      let delivered = 0;
      const world = createScriptedWorld(
        [workerConfig("t", () => ({}))],
        (model) => ({
          get: () => Promise.resolve(isAway ? refused(500, "boom", { retryable: true }) : asOf(stillOurs)),
          update: (taskId, body) => {
            if (!taskId.startsWith("task-")) return model.update(taskId, body);
            delivered += 1;
            return Promise.resolve(answered<true>(true));
          },
        }),
        { journal },
      );
      world.group.start();
      world.server.push("new", "t");
      await world.clock.advanceAsync(1_000);
      expect(world.group.status).toMatchObject({ resultsWaiting: 500, outboxFull: false });
      expect(world.server.count("COMPLETED")).toBe(1);
      isAway = false;
      await world.clock.advanceAsync(30_000);
      await clock.advanceAsync(5_000);
      await world.clock.advanceAsync(30_000);
      expect(delivered).toBe(3_000);
      expect(readdirSync(dir)).toHaveLength(1);
      expect(liveIn(dir)).toEqual([]);
    });
  });
});
