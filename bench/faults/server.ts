import { setTimeout as sleep } from "node:timers/promises";
import { http, HttpResponse, type DefaultBodyType } from "msw";
import { waitFor } from "../../test/support/time/wait-for.js";
import type { FaultShape } from "./shape.js";
import type { FaultWorld } from "./world.js";

const BOUND_MS = 60_000;
const REFUSE_MS = 30_000;
const NONSENSE_MS = 3_000;
const NONSENSE_CONCURRENCY = 5;
/** Tasks at once, after nonsense, and how long each takes. */
const CROWD = 30;
const CROWD_TASK_MS = 400;

function away(seconds: number): FaultShape {
  return {
    number: 12,
    name: "away with ten finished results waiting",
    variant: `for ${seconds} s`,
    boundMs: BOUND_MS,
    lastsMs: seconds * 1_000,
    concurrency: 10,
    async inject(world) {
      await world.began(await world.begin(10, { mode: "held" }));
      world.proxy.refuse();
      world.proxy.resetAll();
      world.release();
      await sleep(seconds * 1_000);
      await world.proxy.accept();
      return { since: performance.now() };
    },
  };
}

function refusal(status: number, retryAfter: string | undefined): FaultShape {
  return {
    number: 15,
    name: `${status} from the first request on`,
    variant: `for 30 s, ${retryAfter === undefined ? "without Retry-After" : `Retry-After: ${retryAfter}`}`,
    boundMs: BOUND_MS,
    lastsMs: REFUSE_MS,
    concurrency: 10,
    startsByItself: true,
    async inject(world) {
      await world.begin(5);
      const headers: Record<string, string> = retryAfter === undefined ? {} : { "retry-after": retryAfter };
      world.gateway.use(http.all("*", () => new HttpResponse("no", { status, headers })));
      await world.startWorker();
      await world.gateway.waitFor(() => true, { boundMs: 20_000 });
      await sleep(REFUSE_MS);
      const { length } = world.gateway.requests;
      world.gateway.reset();
      return { since: performance.now(), remarks: [`${length} requests in the 30 s`] };
    },
  };
}

const asJson = (body: string) => () => new HttpResponse(body, { headers: { "content-type": "application/json" } });
const NONSENSE: readonly [variant: string, answer: () => HttpResponse<DefaultBodyType>][] = [
  ["HTML with status 200", () => HttpResponse.html("<html>maintenance</html>")],
  ["`{}`", asJson("{}")],
  ["`null`", asJson("null")],
  ["a string", asJson('"maintenance"')],
  ["204", () => new HttpResponse(null, { status: 204 })],
  ["no Content-Type", () => new HttpResponse(new TextEncoder().encode("maintenance"))],
  ["truncated JSON", asJson('[{"taskId":"1","workflowInst')],
];

/** Ostinato sends by `POST /tasks` where there is no backlog, whose acknowledgement has a body. */
const NOTE_ON_204 =
  "to `update-v2`, which the official SDK uses always and Ostinato while there is a backlog, 204 is what the server says when all is well: there nobody could tell";

function nonsense(variant: string, answer: () => HttpResponse<DefaultBodyType>): FaultShape {
  return {
    number: 17,
    name: "nonsense to every request, for 3 s",
    variant,
    ...(variant === "204" ? { note: NOTE_ON_204 } : {}),
    boundMs: BOUND_MS,
    lastsMs: NONSENSE_MS,
    concurrency: NONSENSE_CONCURRENCY,
    async inject(world) {
      await world.began(await world.begin(3, { mode: "held" }));
      world.gateway.use(http.all("*", answer));
      world.release();
      await sleep(NONSENSE_MS);
      world.gateway.reset();
      return { since: performance.now() };
    },
    async after(world) {
      const ids = await world.begin(CROWD, { mode: "slow", data: CROWD_TASK_MS });
      // A worker that got stuck after all must not end the measurement.
      await world.done(ids).catch(() => undefined);
      const most = mostAtOnce(world, new Set(ids));
      return most > NONSENSE_CONCURRENCY
        ? [`afterwards ${most} functions ran at once where the limit is ${NONSENSE_CONCURRENCY}`]
        : [];
    },
  };
}

function mostAtOnce(world: FaultWorld, ids: ReadonlySet<string>): number {
  let now = 0;
  let most = 0;
  for (const { kind, workflowId } of world.told()) {
    if (!ids.has(workflowId)) continue;
    now += kind === "began" ? 1 : -1;
    most = Math.max(most, now);
  }
  return most;
}

const LOST_ANSWERS: readonly FaultShape[] = [
  {
    number: 21,
    name: "an applied update's answer is lost",
    variant: "one task",
    boundMs: BOUND_MS,
    concurrency: 1,
    async inject(world) {
      await world.done(await world.begin());
      const cuts = world.proxy.cutNextAnswer({ when: (head) => /^POST \/api\/tasks(\/update-v2)? /.test(head) });
      await world.begin();
      await waitFor(() => cuts.heads.length === 1, { boundMs: 10_000, what: "an answer to be cut" });
      return { since: performance.now() };
    },
  },
  {
    number: 21,
    name: "an applied update's answer is lost",
    variant: "three times, each with the next task of a backlog in it",
    boundMs: BOUND_MS,
    concurrency: 2,
    startsByItself: true,
    async inject(world) {
      await world.begin(40, { mode: "slow", data: 20 });
      const cuts = world.proxy.cutNextAnswer({
        when: (head) => head.startsWith("POST /api/tasks/update-v2 "),
        times: 3,
      });
      await world.startWorker();
      await waitFor(() => cuts.heads.length >= 1, { boundMs: 20_000, what: "an answer to be cut" });
      return { since: performance.now() };
    },
  },
];

export const SERVER_FAULTS: readonly FaultShape[] = [
  away(60),
  away(120),
  refusal(503, undefined),
  refusal(503, "3"),
  refusal(429, "3"),
  ...NONSENSE.map(([variant, answer]) => nonsense(variant, answer)),
  ...LOST_ANSWERS,
];
