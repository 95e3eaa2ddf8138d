import type { Guard } from "./guards.js";

const LOST_ANSWERS = "recovery/lost-answers.test.ts";
const STRANGE_ANSWERS = "recovery/strange-answers.test.ts";
const HUGE_JOURNAL = "recovery/huge-journal.test.ts";

/** The guards that keep recovery from costing more than the fault: faults 48 to 54. */
export const GUARDS_OF_RECOVERY: readonly Guard[] = [
  {
    name: "A page of the listing is bounded in bytes",
    fault: 48,
    test: LOST_ANSWERS,
    file: "runner/recovery/listing.ts",
    code: "const MAX_PAGE_BYTES = 4 * 1024 * 1024;",
    broken: "const MAX_PAGE_BYTES = 60 * 1024 * 1024;",
  },
  {
    name: "After an answer that was too long one task is asked for",
    fault: 49,
    test: LOST_ANSWERS,
    file: "runner/task-runner.ts",
    code: "this.#bytesPerTask = Math.max(this.#bytesPerTask, this.#parts.wantedPollBytes);",
    broken: "this.#bytesPerTask = 0;",
  },
  {
    name: "A search that was refused is tried again",
    fault: 50,
    shape: "the listing",
    test: LOST_ANSWERS,
    file: "runner/recovery/reclaim.ts",
    code: "if (search.failures >= MAX_FAILURES) {",
    broken: "if (search.failures >= 1) {",
  },
  {
    name: "A suspect that cannot be looked at is known by the next listing",
    fault: 50,
    shape: "a look at the task",
    test: LOST_ANSWERS,
    file: "runner/recovery/reclaim.ts",
    code: "if (search.doubtful.get(task.taskId) === task.pollCount) this.#endLost(search, task);",
    broken: "if (search.doubtful.get(task.taskId) === -1) this.#endLost(search, task);",
  },
  {
    name: "A drain waits for the search for a lost answer",
    fault: 51,
    shape: "within the drain",
    test: LOST_ANSWERS,
    file: "runner/drain.ts",
    code: "() => isDone() && !reclaim.isDueBefore(runsEnd())",
    broken: "isDone",
  },
  {
    name: "A search that is owed at the end is left in the journal",
    fault: 51,
    shape: "by the journal",
    test: LOST_ANSWERS,
    file: "runner/journal/own-file.ts",
    code: "if (owed.length === 0 && this.#live.first === undefined)",
    broken: "if (this.#live.first === undefined)",
  },
  {
    name: "A hand-out that has ended is not run again",
    fault: 52,
    test: STRANGE_ANSWERS,
    file: "runner/slot-work.ts",
    code: "    if (this.#isRepeated(handOut)) return false;\n",
    broken: "",
  },
  {
    name: "What cannot be asked for is left alone, and the rest is not",
    fault: 53,
    test: STRANGE_ANSWERS,
    file: "runner/recovery/reclaim.ts",
    code: `if (reply.error.code !== "INVALID_REQUEST") return reply;`,
    broken: "if (reply.error.code !== undefined) return reply;",
  },
  {
    name: "The journal of a dead process is looked through in slices",
    fault: 54,
    test: HUGE_JOURNAL,
    file: "runner/journal/inherited.ts",
    code: "this.#lookOn(FIRST_SLICE_BYTES);",
    broken: "this.#lookOn(Infinity);",
  },
];
