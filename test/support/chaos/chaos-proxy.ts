import http from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Pool } from "undici";
import { answerNamed } from "./answers.js";
import { describeTreatment, type Plan, type RequestKind, REQUEST_KINDS, type Treatment, type Where } from "./plan.js";

/** Something that happened to a request. */
export interface Hit {
  /** Since the beginning of the play, in ms. */
  readonly atMs: number;
  /** Until when the worker could not know how its request had ended, in ms. */
  endedMs: number | undefined;
  readonly kind: RequestKind;
  /** The how-manieth of its kind. */
  readonly nth: number;
  /** The item of the plan that did it. */
  readonly place: number;
  readonly what: Treatment;
  /** The task that the request is about, or those that its answer brought. */
  readonly taskIds: readonly string[];
}

/** A result that reached the server. */
export interface SentResult {
  readonly atMs: number;
  readonly taskId: string;
  readonly status: string;
  readonly outputData: unknown;
  /** What the server answered. */
  readonly answered: number;
}

/** An HTTP proxy in front of a Conductor that plays the faults of a plan. */
export interface ChaosProxy {
  /** `http://127.0.0.1:port/api`. */
  readonly serverUrl: string;
  readonly hits: readonly Hit[];
  /** Every result that the server got, in order. */
  readonly results: readonly SentResult[];
  readonly counts: Readonly<Record<RequestKind, number>>;
  /** Every token that was given out is worth nothing any more. */
  expireTokens(): void;
  /** From now on nothing happens to requests; what has begun to happen goes on. */
  calm(): void;
  close(): Promise<void>;
}

interface Seen {
  readonly kind: RequestKind;
  readonly taskType: string | undefined;
  readonly taskId: string | undefined;
  readonly result: { readonly status: string; readonly outputData: unknown } | undefined;
}

interface Whole {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Its time begins now. What it has passed on is carried out, also when its client has left, as a real server does. */
export async function startChaosProxy(serverUrl: string, plan: Plan): Promise<ChaosProxy> {
  const pool = new Pool(new URL(serverUrl).origin, {
    connections: 64,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const startedAt = performance.now();
  const now = () => performance.now() - startedAt;
  const hits: Hit[] = [];
  const results: SentResult[] = [];
  const counts = Object.fromEntries(REQUEST_KINDS.map((kind) => [kind, 0])) as Record<RequestKind, number>;
  /** Of reads: the last answer that had something in it, by address. */
  const cache = new Map<string, Whole>();
  const timers = new Set<NodeJS.Timeout>();
  let isCalm = false;
  let lastToken = 0;
  let expiredToken = 0;

  const faults = plan.items.flatMap((item, place) => (item?.kind === "fault" ? [{ ...item, place }] : []));
  const singles = new Map<string, (typeof faults)[number]>();
  for (const fault of faults) {
    if (fault.where.scope !== "single") continue;
    const key = `${fault.where.kind} ${fault.where.nth}`;
    if (!singles.has(key)) singles.set(key, fault);
  }
  const lasting = faults.filter(({ where }) => where.scope !== "single");

  const faultOf = ({ kind, taskType }: Seen, nth: number) => {
    if (isCalm) return undefined;
    const atMs = now();
    return singles.get(`${kind} ${nth}`) ?? lasting.find(({ where }) => isWithin(where, atMs, kind, taskType));
  };

  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        resolve();
      }, ms);
      timers.add(timer);
    });

  /** What an Orkes server does before anything else; a Conductor without access keys lets everybody in. */
  function gatekeeper(headers: http.IncomingHttpHeaders, seen: Seen | undefined): Whole | undefined {
    if (plan.tokenless === undefined) return undefined;
    if (seen?.kind === "token") {
      lastToken += 1;
      return jsonOf(200, { token: `token-${lastToken}` });
    }
    const given = headers["x-authorization"];
    if (given === undefined) return jsonOf(plan.tokenless, { status: plan.tokenless, message: "Access is denied" });
    if (Number(String(given).replace("token-", "")) > expiredToken) return undefined;
    return jsonOf(401, { status: 401, error: "EXPIRED_TOKEN", message: "The token has expired" });
  }

  async function forward(request: http.IncomingMessage, seen: Seen | undefined, body: Buffer): Promise<Whole> {
    const { method = "GET", url = "/", headers } = request;
    const atTheGate = gatekeeper(headers, seen);
    if (atTheGate !== undefined) return atTheGate;
    const type = headers["content-type"];
    const answer = await pool.request({
      method,
      path: url,
      headers: type === undefined ? {} : { "content-type": type },
      body: body.length === 0 ? null : body,
    });
    const answered = Buffer.from(await answer.body.arrayBuffer());
    const contentType = answer.headers["content-type"];
    if (seen?.result !== undefined && seen.taskId !== undefined) {
      results.push({ atMs: now(), taskId: seen.taskId, ...seen.result, answered: answer.statusCode });
    }
    const whole = {
      status: answer.statusCode,
      headers: typeof contentType === "string" ? { "content-type": contentType } : {},
      body: answered,
    };
    if (method === "GET" && answered.length > 2) cache.set(url, whole);
    return whole;
  }

  async function answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const seen = read(request.method ?? "GET", request.url ?? "/", body);
    if (seen === undefined) {
      reply(response, await forward(request, seen, body));
      return;
    }
    const nth = (counts[seen.kind] += 1);
    const fault = faultOf(seen, nth);
    const isCached = fault?.what.name === "repeat" && cache.has(request.url ?? "");
    if (fault === undefined || (fault.what.name === "repeat" && !isCached)) {
      reply(response, await forward(request, seen, body));
      return;
    }
    const { what, place } = fault;
    const taskIds = seen.taskId === undefined ? [] : [seen.taskId];
    const hit: Hit = { atMs: now(), endedMs: undefined, kind: seen.kind, nth, place, what, taskIds };
    hits.push(hit);
    const isUnseen = what.name === "repeat" || ("when" in what && what.when === "before" && what.name !== "delay");
    if (what.name === "delay" && what.when === "before") await pause(what.ms);
    const cached = isCached ? cache.get(request.url ?? "") : undefined;
    const real = isUnseen ? cached : await forward(request, seen, body);
    if (real !== undefined) taskIds.push(...taskIdsIn(real, taskIds));
    await treat(what, request.socket, response, real);
    hit.endedMs = now();
  }

  /** @param real the server's answer, or the one in the cache */
  async function treat(
    what: Treatment,
    socket: Socket,
    response: http.ServerResponse,
    real: Whole | undefined,
  ): Promise<void> {
    switch (what.name) {
      case "delay":
        if (what.when === "after") await pause(what.ms);
        if (real !== undefined) reply(response, real);
        return;
      case "cut":
        socket.resetAndDestroy();
        return;
      case "half":
        if (real !== undefined && real.body.length > 1 && !response.destroyed) {
          response.writeHead(real.status, { ...real.headers, "content-length": real.body.length });
          response.write(real.body.subarray(0, Math.ceil(real.body.length / 2)));
          await pause(20);
        }
        socket.resetAndDestroy();
        return;
      case "hang":
        // The client leaves at its deadline.
        if (!socket.destroyed) await new Promise((resolve) => socket.once("close", resolve));
        return;
      case "repeat":
        if (real !== undefined) reply(response, real);
        return;
      case "answer": {
        const { status, contentType, headers, body } = answerNamed(what.answer);
        const type = contentType === "" ? {} : { "content-type": contentType };
        reply(response, { status, headers: { ...type, ...headers }, body: Buffer.from(body) });
      }
    }
  }

  const server = http.createServer((request, response) => {
    request.on("error", () => undefined);
    response.on("error", () => undefined);
    answer(request, response).catch(() => {
      // The client has left, or the play is over.
      request.socket.destroy();
    });
  });
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    serverUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    hits,
    results,
    counts,
    expireTokens() {
      expiredToken = lastToken;
    },
    calm() {
      isCalm = true;
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      await pool.destroy();
    },
  };
}

const jsonOf = (status: number, value: object): Whole => ({
  status,
  headers: { "content-type": "application/json" },
  body: Buffer.from(JSON.stringify(value)),
});

/** For a story. */
export const describeHit = ({ atMs, kind, nth, what, place }: Hit): string =>
  `${Math.round(atMs)} ms, ${kind} no. ${nth}: ${describeTreatment(what)} [${place}]`;

function isWithin(where: Where, atMs: number, kind: RequestKind, taskType: string | undefined): boolean {
  if (where.scope === "single" || atMs < where.fromMs || atMs >= where.toMs) return false;
  return (
    (where.kinds === undefined || where.kinds.includes(kind)) &&
    (where.taskType === undefined || where.taskType === taskType)
  );
}

function reply(response: http.ServerResponse, { status, headers, body }: Whole): void {
  if (response.destroyed) return;
  response.writeHead(status, status === 204 ? headers : { ...headers, "content-length": body.length });
  response.end(status === 204 ? undefined : body);
}

/** What a request of a worker is about; undefined: of nothing that a plan knows. */
function read(method: string, url: string, body: Buffer): Seen | undefined {
  const path = (url.split("?", 1)[0] ?? "").replace(/^\/api/, "");
  const rest = (prefix: string) => decodeURIComponent(path.slice(prefix.length));
  const none = { taskType: undefined, taskId: undefined, result: undefined };
  if (method === "POST" && (path === "/tasks" || path === "/tasks/update-v2")) return readUpdate(path, body);
  if (method === "POST" && path === "/token") return { ...none, kind: "token" };
  if (method !== "GET") return undefined;
  if (path.startsWith("/tasks/poll/batch/")) return { ...none, kind: "poll", taskType: rest("/tasks/poll/batch/") };
  if (path === "/tasks/queue/sizes") return { ...none, kind: "sizes" };
  if (path.startsWith("/admin/task/")) return { ...none, kind: "listing", taskType: rest("/admin/task/") };
  if (/^\/tasks\/[^/]+$/.test(path)) return { ...none, kind: "look", taskId: rest("/tasks/") };
  return undefined;
}

function readUpdate(path: string, body: Buffer): Seen | undefined {
  const update = JSON.parse(body.toString()) as {
    taskId: string;
    status: string;
    outputData?: unknown;
    extendLease?: boolean;
  };
  const { taskId, status, outputData = {}, extendLease } = update;
  const about = { taskType: undefined, taskId };
  if (extendLease === true) return { ...about, kind: "lease", result: undefined };
  if (status === "IN_PROGRESS") return { ...about, kind: "handBack", result: undefined };
  return { ...about, kind: path === "/tasks" ? "v1" : "v2", result: { status, outputData } };
}

/** The tasks that an answer brings. */
function taskIdsIn({ body, headers }: Whole, known: readonly string[]): string[] {
  if (headers["content-type"]?.startsWith("application/json") !== true) return [];
  const value = JSON.parse(body.toString()) as unknown;
  const found = (Array.isArray(value) ? value : [value]) as ({ taskId?: unknown } | null)[];
  return found
    .map((entry) => entry?.taskId)
    .filter((taskId): taskId is string => typeof taskId === "string" && !known.includes(taskId));
}
