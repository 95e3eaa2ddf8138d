import { GUARDS_OF_BOUNDS } from "./guards-of-bounds.js";
import { GUARDS_OF_RECOVERY } from "./guards-of-recovery.js";
import { GUARDS_OF_STRANGERS } from "./guards-of-strangers.js";
import { GUARDS_OF_USERS } from "./guards-of-users.js";

/** Something in the code that is there against a fault. Broken, the fault must turn red. */
export interface Guard {
  /** In a few words, as the document names it. */
  readonly name: string;
  /** Which fault must catch it: its number, and where it has several shapes, words of its title. */
  readonly fault: number;
  readonly shape?: string;
  /** The test file with that fault, below `test/faults`. */
  readonly test: string;
  /** Where the guard is, below `src`. */
  readonly file: string;
  /** The text that is it: must occur exactly once. */
  readonly code: string;
  /** What stands there instead while it is broken. */
  readonly broken: string;
}

/** How often the guard's code occurs in its file's text: once, or the list is behind the code. */
export const placesOf = ({ code }: Guard, text: string): number => text.split(code).length - 1;

const HALF_OPEN = "connections/half-open.test.ts";
const CLOSING = "connections/closing.test.ts";
const NETWORK = "connections/network.test.ts";
const REFUSALS = "server/refusals.test.ts";
const NONSENSE = "server/nonsense.test.ts";
const UPDATES = "server/updates.test.ts";

export const GUARDS: readonly Guard[] = [
  {
    name: "A suspicion swaps the connections of both lanes",
    fault: 1,
    test: HALF_OPEN,
    file: "http/transport.ts",
    code: "    lanes.main.recycle();\n",
    broken: "",
  },
  {
    name: "A deadline that passes is a suspicion",
    fault: 1,
    test: HALF_OPEN,
    file: "http/pending-exchange.ts",
    code: `if (phase !== "queued" && generation !== undefined) this.#owner.onSuspicion(generation);`,
    broken: "",
  },
  {
    name: "Tasks in a poll's lost answer are reclaimed",
    fault: 2,
    test: HALF_OPEN,
    file: "runner/task-runner.ts",
    code: `if (isFirst || reply.kind === "maybeApplied") this.#parts.reclaim.lost(this, until);`,
    broken: "",
  },
  {
    name: "A result without an acknowledgement is kept",
    fault: 3,
    shape: "never arrived",
    test: HALF_OPEN,
    file: "runner/delivery/delivery.ts",
    code: "        this.#noteBeside(shipment, fate.fault);\n        this.#store(shipment);\n",
    broken: `        this.#giveUp(shipment, "not delivered");\n`,
  },
  {
    name: "No request waits for what TCP retransmits",
    fault: 4,
    test: NETWORK,
    file: "http/pending-exchange.ts",
    code: "owner.clock.setTimer(this.#onDeadline, request.deadlineMs);",
    broken: "owner.clock.setTimer(this.#onDeadline, request.deadlineMs * 1_000);",
  },
  {
    name: "A lost connection is waited out in tenths of a second",
    fault: 5,
    shape: "by FIN",
    test: CLOSING,
    file: "runner/gate/backoff.ts",
    code: "unreachable: { firstMs: 100, maxMs: 2_000 }",
    broken: "unreachable: { firstMs: 5_000, maxMs: 20_000 }",
  },
  {
    name: "One pool per lane, no agent: a closed connection is replaced by one",
    fault: 6,
    test: CLOSING,
    file: "http/generation.ts",
    code: "    this.#pool.dispatch(options, handler);",
    broken: "    this.#pool.dispatch({ ...options, reset: true }, handler);",
  },
  {
    name: "Nothing is taken from an answer before it is whole",
    fault: 7,
    shape: "of a poll",
    test: CLOSING,
    file: "http/pending-exchange.ts",
    code: `      this.#settle(maybeApplied(malformed ? "MALFORMED_RESPONSE" : "CONNECTION_LOST", messageOf(error), error));`,
    broken: `      if (this.#phase === "receiving") this.#settle({ kind: "answered", status: 200, body: "[]", contentType: "application/json" });
      else this.#settle(maybeApplied(malformed ? "MALFORMED_RESPONSE" : "CONNECTION_LOST", messageOf(error), error));`,
  },
  {
    name: "The deadline covers the body",
    fault: 8,
    shape: "drips",
    test: CLOSING,
    file: "http/pending-exchange.ts",
    code: `    this.#phase = "receiving";\n    this.#status = status;\n`,
    broken: `    this.#phase = "receiving";\n    this.#status = status;\n    this.#owner.clock.clearTimer(this.#timer);\n`,
  },
  {
    name: "An answer that keeps coming is not given up",
    fault: 8,
    shape: "slow link",
    test: CLOSING,
    file: "http/pending-exchange.ts",
    code: `if (phase === "receiving" && this.#putOff()) return;`,
    broken: "",
  },
  {
    name: "Every request has a total deadline",
    fault: 9,
    test: CLOSING,
    file: "http/pending-exchange.ts",
    code: "owner.clock.setTimer(this.#onDeadline, request.deadlineMs);",
    broken: "owner.clock.setTimer(this.#onDeadline, request.deadlineMs * 10);",
  },
  {
    name: "The server's name is asked for at every connect",
    fault: 10,
    test: NETWORK,
    file: "http/transport.ts",
    code: "    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,\n",
    broken: `    keepAliveInitialDelay: TCP_KEEP_ALIVE_DELAY_MS,
    lookup: ((known) => (host, options, done) =>
      known.length > 0
        ? done(...known)
        : process.getBuiltinModule("node:dns").lookup(host, options, (...found) => {
            if (found[0] === null) known.push(...found);
            done(...found);
          }))([]),
`,
  },
  {
    name: "Results have connections of their own",
    fault: 11,
    test: CLOSING,
    file: "http/transport.ts",
    code: "lanes[request.lane].request(request, resolve);",
    broken: "lanes.poll.request(request, resolve);",
  },
  {
    name: "404: the task is gone",
    fault: 13,
    shape: "empty memory",
    test: "server/away.test.ts",
    file: "runner/answers/result-fate.ts",
    code: `if (subject === "task") return { kind: "gone" };`,
    broken: `if (subject === "task") return { kind: "retry", fault: "none" };`,
  },
  {
    name: "A 500 is about the server until others are accepted",
    fault: 14,
    shape: "retryable: false",
    test: REFUSALS,
    file: "runner/answers/result-fate.ts",
    code: `if (fault !== "own" || failures < MIN_OWN_FAILURES) return false;`,
    broken: "return failures >= 1;",
  },
  {
    name: "One backoff for the whole process",
    fault: 15,
    shape: "503 from the first request on: without",
    test: REFUSALS,
    file: "runner/gate/closure.ts",
    code: "    if (now < this.#until + moreMs) return this.#until + moreMs - now;\n",
    broken: "",
  },
  {
    name: "Retry-After is obeyed",
    fault: 15,
    shape: "429 from the first request on: with Retry-After: 3",
    test: REFUSALS,
    file: "runner/gate/backoff.ts",
    code: "  if (retryAfterMs === undefined) return delay;",
    broken: "  if (retryAfterMs !== -1) return delay;",
  },
  {
    name: "401 and 403 cost no result",
    fault: 16,
    shape: "403 to updates: HTML",
    test: REFUSALS,
    file: "runner/answers/result-fate.ts",
    code: `return { kind: "retry", fault: speaker === "conductor" && subject === "failure" ? "own" : "maybe" };`,
    broken: `return { kind: "rejected", why: "refused" };`,
  },
  {
    name: "What a dead token cost is sent again with the new one",
    fault: 16,
    shape: "under load",
    test: REFUSALS,
    file: "http/authenticated-transport.ts",
    code: `if (next.kind !== "token" || (request.isOnce === true && refusal !== "dead")) return exchange;`,
    broken: "return exchange;",
  },
  {
    name: "A poll's answer is checked before anything is counted",
    fault: 17,
    shape: "HTML with status 200",
    test: NONSENSE,
    file: "conductor/task-api.ts",
    code: "        if (!Array.isArray(body)) return undefined;\n        const handOuts",
    broken: "        if (!Array.isArray(body)) return { handOuts: [], malformed: 0 };\n        const handOuts",
  },
  {
    name: "An acknowledgement is the task's id",
    fault: 22,
    shape: "never arrived",
    test: UPDATES,
    file: "conductor/task-api.ts",
    code: 'answer.body === taskId || answer.body === `"${taskId}"` ? true : undefined,',
    broken: "answer.status === 200 ? true : undefined,",
  },
  {
    name: "Each task of an answer is checked by itself",
    fault: 17,
    shape: "inputData is a string",
    test: NONSENSE,
    file: "conductor/hand-out.ts",
    code: "else if (!isObject(value.inputData)) problem = ",
    broken: "else if (value.inputData === 7) problem = ",
  },
  {
    name: "A task of another type is given back",
    fault: 17,
    shape: "of another type",
    test: NONSENSE,
    file: "runner/turn-away.ts",
    code: "if (isOther(task.taskDefName) && isOther(task.taskType)) {",
    broken: "if (isOther(task.taskDefName) && task.taskType === undefined) {",
  },
  {
    name: "What finds no slot is given back",
    fault: 18,
    test: NONSENSE,
    file: "runner/slot-work.ts",
    code: `    else void this.#turnAway.giveBack(entry, "surplus");\n    return true;`,
    broken: "    return true;",
  },
  {
    name: "The same task twice: one execution answers both",
    fault: 19,
    shape: "in one answer",
    test: NONSENSE,
    file: "runner/slot-work.ts",
    code: "if (known !== undefined && isSameHandOut(known, handOut)) return false;",
    broken: "",
  },
  {
    name: "No such endpoint is not no such task",
    fault: 20,
    shape: "update-v2: 404$",
    test: UPDATES,
    file: "runner/answers/result-fate.ts",
    code: `if (endpoint === "v2" && isAboutV2(reply, meaning)) return { kind: "askV1" };`,
    broken: `if (endpoint === "v2" && isAboutV2(reply, meaning)) return { kind: "gone" };`,
  },
  {
    name: "The task in a chain's lost answer is reclaimed",
    fault: 21,
    shape: "update-v2",
    test: UPDATES,
    file: "runner/delivery/delivery.ts",
    code: "this.#hooks.onLostChain(entry.worker);",
    broken: "",
  },
  {
    name: "A gateway's error may stand for an answer that was lost",
    fault: 21,
    shape: "504 to a poll",
    test: UPDATES,
    file: "runner/answers/meaning.ts",
    code: `return reply.kind === "refused" && reply.error.serverMessage === undefined;`,
    broken: "return false;",
  },
  {
    name: "A refused result becomes a failure that says why",
    fault: 22,
    shape: "400 on update",
    test: UPDATES,
    file: "runner/answers/result-fate.ts",
    code: `if (subject === "request") return { kind: "rejected", why: reply.error.serverMessage ?? reply.error.message };`,
    broken: "",
  },
  {
    name: "What a gateway refuses is no word of the server's",
    fault: 22,
    shape: "maintenance page",
    test: UPDATES,
    file: "runner/answers/meaning.ts",
    code: `return { speaker: "stranger", subject: "open", server: failureClass, failureClass, retryAfterMs };`,
    broken: `return { speaker: "stranger", subject: "request", server: failureClass, failureClass, retryAfterMs };`,
  },
  {
    name: "What does not get through while others do is given more time",
    fault: 22,
    shape: "longer than a request",
    test: UPDATES,
    file: "runner/delivery/delivery.ts",
    code: "!permit.isProbe && this.#giveLonger(shipment);",
    broken: "!permit.isProbe && false;",
  },
  {
    name: "What comes after stop began is handed back",
    fault: 23,
    shape: "a poll is answered",
    test: UPDATES,
    file: "runner/turn-away.ts",
    code: `if (state === "draining" || state === "stopped") return () => this.giveBack(entry, "stopping");`,
    broken: "",
  },
  {
    name: "What comes after pause began is handed back",
    fault: 23,
    shape: "after pause began",
    test: UPDATES,
    file: "runner/turn-away.ts",
    code: `if (state === "paused") return () => this.giveBack(entry, "paused");`,
    broken: "",
  },
  ...GUARDS_OF_USERS,
  ...GUARDS_OF_BOUNDS,
  ...GUARDS_OF_STRANGERS,
  ...GUARDS_OF_RECOVERY,
];
