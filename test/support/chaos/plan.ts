import { answerNamed, STRANGE_ANSWERS } from "./answers.js";
import { diceOf, type Dice } from "./random.js";

/** What a request of a worker is about. `v1` and `v2` are results; hand-backs and leases go to `POST /tasks` as well. */
export const REQUEST_KINDS = ["poll", "v1", "v2", "handBack", "lease", "look", "sizes", "listing", "token"] as const;
export type RequestKind = (typeof REQUEST_KINDS)[number];

/** For how long faults happen, in ms. */
export const CHAOS_MS = 4_000;
/** What the network and the server may take for one request of the worker, in ms. */
export const REQUEST_TIMEOUT_MS = 700;
export const LONG_POLL_MS = 400;

/** The task types, and how many tasks of each run at once. `leased` has a short response timeout. */
export const CONCURRENCY = { single: 1, few: 3, many: 8, leased: 3 } as const;
export type ChaosTaskType = keyof typeof CONCURRENCY;
export const TASK_TYPES = Object.keys(CONCURRENCY) as ChaosTaskType[];
/** A `leased` task runs longer than this, in s: without its lease the server times it out. */
export const LEASED_RESPONSE_TIMEOUT_SECONDS = 3;

/** Which requests a fault hits. */
export type Where =
  /** One request: the how-manieth of its kind, counted from 1. */
  | { readonly scope: "single"; readonly kind: RequestKind; readonly nth: number }
  /** All requests of these kinds (default: every one), of this task type if one is named, between two times. */
  | {
      readonly scope: "window" | "path" | "type";
      readonly fromMs: number;
      readonly toMs: number;
      readonly kinds?: readonly RequestKind[];
      readonly taskType?: ChaosTaskType;
    };

/** Whether something happens to a request before the server has acted on it, or to its answer. */
export type When = "before" | "after";

/** What becomes of a request. */
export type Treatment =
  | { readonly name: "delay"; readonly when: When; readonly ms: number }
  /** The connection is reset: before the server sees the request, or in place of its answer. */
  | { readonly name: "cut"; readonly when: When }
  /** Half of the answer's body, and then a reset. */
  | { readonly name: "half" }
  /** Nobody answers, ever. */
  | { readonly name: "hang"; readonly when: When }
  /** A cache gives the last answer to the same address that had something in it; the server does not see the request. */
  | { readonly name: "repeat" }
  /** The named answer in place of the server's. */
  | { readonly name: "answer"; readonly when: When; readonly answer: string };

/** What a function is told to do. */
export interface TaskInput {
  readonly [key: string]: number;
  /** How long it takes, in ms. */
  readonly ms: number;
  /** How many attempts throw. */
  readonly fails: number;
  /** How many runs ask to be called again later. */
  readonly back: number;
}

export type Item =
  | { readonly kind: "fault"; readonly where: Where; readonly what: Treatment }
  | {
      readonly kind: "tasks";
      readonly atMs: number;
      readonly taskType: ChaosTaskType;
      readonly inputs: readonly TaskInput[];
    }
  | { readonly kind: "pause"; readonly atMs: number; readonly taskType: ChaosTaskType; readonly forMs: number }
  | {
      readonly kind: "concurrency";
      readonly atMs: number;
      readonly taskType: ChaosTaskType;
      readonly concurrency: number;
    }
  | { readonly kind: "restart"; readonly atMs: number; readonly drainTimeoutMs: number }
  | { readonly kind: "kill"; readonly atMs: number }
  /** Every token that was given out is worth nothing any more. */
  | { readonly kind: "expiry"; readonly atMs: number };

/** All that happens in one play, made up before it begins. */
export interface Plan {
  readonly seed: number;
  readonly queue: "patient" | "eager" | "instant";
  readonly hasJournal: boolean;
  /** The worker has a process of its own, which can be killed. */
  readonly hasOwnProcess: boolean;
  /** The status with which the server refuses a request without a token; undefined: it wants none. */
  readonly tokenless: 401 | 403 | undefined;
  /** Their places in this list are their names: an item that is left out leaves a hole. */
  readonly items: readonly (Item | undefined)[];
}

/** What one item is, in words by which it can be left out. */
export function tagsOf(item: Item): string[] {
  if (item.kind !== "fault") return [item.kind];
  const { where, what } = item;
  const kinds = where.scope === "single" ? [where.kind] : (where.kinds ?? []);
  const tags: string[] = [where.scope, what.name, ...kinds];
  if ("when" in what) tags.push(what.when);
  if (what.name === "answer") {
    const { status, speaker } = answerNamed(what.answer);
    tags.push(what.answer, ...what.answer.split(" "), speaker, String(status), `${String(status)[0]!}xx`);
  }
  return [...new Set(tags)];
}

/**
 * The plan of a seed: always the same.
 *
 * @param without what is left out: each entry is a tag, or several joined by `+` that an item must all have. What stays is
 * as it would be with everything.
 */
export function planOf(seed: number, without: readonly string[] = []): Plan {
  const dice = diceOf(seed * 7_919 + 13);
  const queue = dice.pick(["patient", "patient", "eager", "eager", "instant"] as const);
  const hasOwnProcess = dice.chance(0.08);
  const hasJournal = dice.chance(0.4) || hasOwnProcess;
  const items: Item[] = [...tasks(dice), ...faults(dice), ...windows(dice), ...actions(dice, hasOwnProcess)];
  const tokenless = dice.chance(0.2) ? dice.pick([401, 403] as const) : undefined;
  if (tokenless !== undefined) items.push(...tokens(dice));
  const terms = without.map((term) => term.split("+"));
  const isLeftOut = (item: Item): boolean => {
    const tags = tagsOf(item);
    return terms.some((term) => term.every((tag) => tags.includes(tag)));
  };
  const isPlainProcess = terms.some((term) => term.length === 1 && term[0] === "kill");
  return {
    seed,
    queue,
    hasJournal,
    hasOwnProcess: hasOwnProcess && !isPlainProcess,
    tokenless,
    items: items.map((item) => (isLeftOut(item) ? undefined : item)),
  };
}

/** The plan with nothing but these items. */
export function planWith(plan: Plan, places: readonly number[]): Plan {
  const kept = new Set(places);
  return { ...plan, items: plan.items.map((item, place) => (kept.has(place) ? item : undefined)) };
}

/** The places of the items that are there. */
export const placesOf = ({ items }: Plan): number[] =>
  items.flatMap((item, place) => (item === undefined ? [] : [place]));

/** More tasks of one type than it has slots make surplus, a backlog and chains. */
function tasks(dice: Dice): Item[] {
  const items: Item[] = [];
  const bursts = dice.whole(8, 14);
  for (let n = 0; n < bursts; n++) {
    const taskType = dice.pick(TASK_TYPES);
    const count = taskType === "leased" ? dice.whole(1, 2) : dice.chance(0.3) ? dice.whole(6, 14) : dice.whole(1, 3);
    const atMs = Math.floor(taskType === "leased" ? dice.between(0, 1_500) : dice.between(0, CHAOS_MS - 300));
    const inputs = Array.from({ length: count }, () => inputOf(dice, taskType));
    items.push({ kind: "tasks", atMs, taskType, inputs });
  }
  return items;
}

function inputOf(dice: Dice, taskType: ChaosTaskType): TaskInput {
  const overLease = LEASED_RESPONSE_TIMEOUT_SECONDS * 1_000 + 300;
  const ms = taskType === "leased" ? dice.between(200, overLease) : dice.chance(0.35) ? 0 : dice.between(1, 150);
  return {
    ms: Math.floor(ms),
    fails: dice.chance(0.1) ? dice.whole(1, 2) : 0,
    back: taskType !== "leased" && dice.chance(0.15) ? dice.whole(1, 2) : 0,
  };
}

/** How many requests of a kind there are in a play, about. A kind that stands here twice is hit twice as often. */
const USUAL_COUNTS: readonly (readonly [RequestKind, number])[] = [
  ["poll", 80],
  ["poll", 25],
  ["v1", 40],
  ["v1", 15],
  ["v2", 25],
  ["v2", 8],
  ["handBack", 12],
  ["lease", 5],
  ["look", 5],
  ["sizes", 4],
  ["listing", 4],
];

function faults(dice: Dice): Item[] {
  const count = dice.whole(5, 70);
  return Array.from({ length: count }, (): Item => {
    const [kind, usual] = dice.pick(USUAL_COUNTS);
    return { kind: "fault", where: { scope: "single", kind, nth: dice.whole(1, usual) }, what: treatment(dice, kind) };
  });
}

function windows(dice: Dice): Item[] {
  const items: Item[] = [];
  const during = (shortestMs: number, longestMs: number) => {
    const fromMs = Math.floor(dice.between(0, CHAOS_MS - shortestMs));
    return { fromMs, toMs: Math.floor(Math.min(fromMs + dice.between(shortestMs, longestMs), CHAOS_MS)) };
  };
  const throughout = { fromMs: 0, toMs: CHAOS_MS };
  while (dice.chance(0.4)) {
    items.push({ kind: "fault", where: { scope: "window", ...during(500, 3_000) }, what: forEverybody(dice) });
  }
  if (dice.chance(0.25)) {
    const kinds = [dice.pick(["look", "v2", "sizes", "listing"] as const)];
    items.push({ kind: "fault", where: { scope: "path", ...throughout, kinds }, what: refusal(dice, kinds[0]!) });
  }
  if (dice.chance(0.25)) {
    const taskType = dice.pick(TASK_TYPES);
    const where: Where = { scope: "type", ...during(1_000, CHAOS_MS), kinds: ["poll"], taskType };
    items.push({ kind: "fault", where, what: refusal(dice, "poll") });
  }
  return items;
}

function actions(dice: Dice, hasOwnProcess: boolean): Item[] {
  const items: Item[] = [];
  const at = () => Math.floor(dice.between(200, CHAOS_MS - 200));
  while (dice.chance(0.5)) {
    const forMs = Math.floor(dice.between(100, 1_500));
    items.push({ kind: "pause", atMs: at(), taskType: dice.pick(TASK_TYPES), forMs });
  }
  while (dice.chance(0.5)) {
    items.push({ kind: "concurrency", atMs: at(), taskType: dice.pick(TASK_TYPES), concurrency: dice.whole(1, 8) });
  }
  while (dice.chance(0.3)) {
    items.push({ kind: "restart", atMs: at(), drainTimeoutMs: dice.pick([0, 500, 3_000]) });
  }
  if (hasOwnProcess) {
    for (let kills = dice.whole(1, 2); kills > 0; kills--) items.push({ kind: "kill", atMs: at() });
  }
  return items;
}

/** Tokens that expire, and a token endpoint that is answered for. */
function tokens(dice: Dice): Item[] {
  const items: Item[] = [];
  for (let expiries = dice.whole(0, 3); expiries > 0; expiries--) {
    items.push({ kind: "expiry", atMs: Math.floor(dice.between(100, CHAOS_MS)) });
  }
  for (let nth = 1; nth <= 4; nth++) {
    if (dice.chance(0.4)) {
      items.push({ kind: "fault", where: { scope: "single", kind: "token", nth }, what: treatment(dice, "token") });
    }
  }
  return items;
}

/** What may happen to one request of a kind. */
function treatment(dice: Dice, kind: RequestKind): Treatment {
  const when = dice.pick(["before", "after"] as const);
  switch (
    dice.pick(["delay", "cut", "cut", "half", "hang", "late", "repeat", "own", "answer", "answer", "answer"] as const)
  ) {
    case "delay":
      return { name: "delay", when, ms: Math.floor(dice.between(10, REQUEST_TIMEOUT_MS * 0.8)) };
    case "late":
      return { name: "delay", when: "after", ms: Math.floor(dice.between(1.2, 2.5) * REQUEST_TIMEOUT_MS) };
    case "cut":
      return { name: "cut", when };
    case "half":
      return { name: "half" };
    case "hang":
      return { name: "hang", when };
    case "repeat":
      return isRead(kind) ? { name: "repeat" } : { name: "cut", when };
    case "own":
      return { name: "answer", when: "before", answer: ownAnswer(dice, kind) };
    case "answer":
      return { name: "answer", when, answer: strangeAnswer(dice, kind) };
  }
}

const isRead = (kind: RequestKind): boolean => ["poll", "look", "sizes", "listing"].includes(kind);

/** A refusal for good of a result or of a hand-back is a matter of Conductor alone, and rare. */
function ownAnswer(dice: Dice, kind: RequestKind): string {
  const isFinal = isRead(kind) ? dice.chance(0.5) : dice.chance(0.1);
  return isFinal ? "conductor final" : "conductor retryable";
}

/** Whatever is asked of the server, this comes back: for as long as everybody is answered so, nobody is to blame. */
function forEverybody(dice: Dice): Treatment {
  if (dice.chance(0.15)) return { name: "hang", when: "before" };
  if (dice.chance(0.15)) return { name: "cut", when: "before" };
  return { name: "answer", when: "before", answer: strangeAnswer(dice, undefined) };
}

const refusal = (dice: Dice, kind: RequestKind): Treatment => ({
  name: "answer",
  when: "before",
  answer: strangeAnswer(dice, kind),
});

/**
 * Any that no client could take for Conductor's own. To `update-v2` 204 is the acknowledgement, and to a poll it means
 * that there was nothing: whoever hears that in the server's stead has no way to know better.
 */
function strangeAnswer(dice: Dice, kind: RequestKind | undefined): string {
  const isBelieved = kind === undefined || kind === "v2" || kind === "poll";
  const isHardToMiss = dice.chance(0.5);
  const answers = STRANGE_ANSWERS.filter((name) => !(isBelieved && name.endsWith(" 204"))).filter(
    (name) => !isHardToMiss || /(?:nginx|spring\w*|aws) /.test(name),
  );
  return dice.pick(answers);
}

/** One line for people. */
export function describeItem(item: Item): string {
  switch (item.kind) {
    case "fault":
      return `${describeWhere(item.where)}: ${describeTreatment(item.what)}`;
    case "tasks": {
      const inputs = item.inputs.map(({ ms, fails, back }) => {
        return `${ms} ms${fails > 0 ? `, throws ${fails}×` : ""}${back > 0 ? `, in progress ${back}×` : ""}`;
      });
      return `at ${item.atMs} ms ${inputs.length} tasks of ${item.taskType} (${inputs.join("; ")})`;
    }
    case "pause":
      return `at ${item.atMs} ms pause ${item.taskType} for ${item.forMs} ms`;
    case "concurrency":
      return `at ${item.atMs} ms ${item.concurrency} slots for ${item.taskType}`;
    case "restart":
      return `at ${item.atMs} ms stop with a drain of ${item.drainTimeoutMs} ms, and start`;
    case "kill":
      return `at ${item.atMs} ms SIGKILL, and another process`;
    case "expiry":
      return `at ${item.atMs} ms all tokens expire`;
  }
}

function describeWhere(where: Where): string {
  if (where.scope === "single") return `${where.kind} no. ${where.nth}`;
  const who = where.kinds === undefined ? "everybody" : `each ${where.kinds.join(" and ")}`;
  return `from ${where.fromMs} to ${where.toMs} ms ${who}${where.taskType === undefined ? "" : ` of ${where.taskType}`}`;
}

export function describeTreatment(what: Treatment): string {
  switch (what.name) {
    case "delay":
      return `${what.ms} ms late (${what.when})`;
    case "cut":
    case "hang":
      return `${what.name} (${what.when})`;
    case "half":
    case "repeat":
      return what.name;
    case "answer":
      return `answered by "${what.answer}" (${what.when})`;
  }
}
