import { packageVersion } from "../base/package-version.js";
import type { MetricsRegistry } from "../metrics/registry.js";
import type { TaskHandlerStatus } from "../status.js";
import { aboutThisProcess, statusBody } from "./about.js";
import { judgeLiveness, judgeReadiness } from "./health.js";
import { page } from "./page.js";
import { createScraper } from "./scrape.js";

export interface RouteOptions {
  readonly status: () => TaskHandlerStatus;
  /** A loop that has not iterated for this long is not live, in ms; Infinity: off. */
  readonly stallMs: number;
  /** Undefined: `/metrics` is 404. */
  readonly registry: MetricsRegistry | undefined;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers one request. Never rejects. */
export type Routes = (method: string | undefined, target: string | undefined) => Promise<Answer>;

/** What is answered to which request. Nothing here changes anything. */
export function createRoutes({ status, stallMs, registry }: RouteOptions): Routes {
  const version = packageVersion();
  const scrape = registry === undefined ? undefined : createScraper(registry);

  return toRoutes({
    "/livez": () => {
      const { isLive, reasons } = judgeLiveness(status(), stallMs);
      return json(isLive ? 200 : 503, { status: isLive ? "ok" : "stuck", reasons });
    },
    "/readyz": () => {
      const { isReady, reasons } = judgeReadiness(status());
      return json(isReady ? 200 : 503, { status: isReady ? "ok" : "not ready", reasons });
    },
    "/status": () => json(200, statusBody(status(), aboutThisProcess(version))),
    "/metrics": async () => {
      if (scrape === undefined) return text(404, "metrics are switched off: the option registry is false");
      const { contentType, text: body } = await scrape();
      return { status: 200, contentType, body };
    },
    "/": () => {
      const now = status();
      const body = page({
        status: now,
        facts: aboutThisProcess(version),
        liveness: judgeLiveness(now, stallMs),
        readiness: judgeReadiness(now),
        hasMetrics: scrape !== undefined,
      });
      return { status: 200, contentType: "text/html; charset=utf-8", body };
    },
  });
}

/** The paths there may be, in the order in which a 404 names them. */
const PATHS = ["/", "/livez", "/readyz", "/metrics", "/status"];

/** What is answered at each path. */
export type RouteTable = Readonly<Record<string, () => Answer | Promise<Answer>>>;

/** Answers `GET` and `HEAD` by a table; what throws becomes a 500. */
export function toRoutes(table: RouteTable): Routes {
  const paths = PATHS.filter((path) => Object.hasOwn(table, path)).join(", ");
  return async (method, target) => {
    const path = (target ?? "").split("?", 1)[0] ?? "";
    const route = Object.hasOwn(table, path) ? table[path] : undefined;
    if (route === undefined) return text(404, `nothing is here; there are ${paths}`);
    if (method !== "GET" && method !== "HEAD")
      return { ...text(405, "only GET and HEAD"), headers: { allow: "GET, HEAD" } };
    try {
      return await route();
    } catch (error) {
      return text(500, `${path} could not be made: ${messageOf(error)}`);
    }
  };
}

export function json(status: number, body: object): Answer {
  return { status, contentType: "application/json; charset=utf-8", body: `${JSON.stringify(body, undefined, 2)}\n` };
}

export function text(status: number, words: string): Answer {
  return { status, contentType: "text/plain; charset=utf-8", body: `${words}\n` };
}

/** A user's metric may throw anything. */
function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error);
  } catch {
    return "something was thrown that cannot be shown";
  }
}
