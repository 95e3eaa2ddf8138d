import { Refusal } from "../engine/refusal.js";
import type { EngineState } from "../engine/state.js";
import { healthRoutes } from "./health.js";
import type { HeldReply, RouteReply, Route, RouteRequest } from "./http.js";
import { metadataRoutes } from "./metadata.js";
import { pollRoutes } from "./poll.js";
import { queueRoutes } from "./queues.js";
import { searchRoutes } from "./search.js";
import { taskRoutes } from "./tasks.js";
import { workflowRoutes } from "./workflows.js";

/** What comes in from the wire. */
export interface RawRequest {
  readonly method: string;
  /** With its query, as sent. */
  readonly url: string;
  readonly contentType: string;
  readonly body: string;
  readonly now: number;
}

interface CompiledRoute {
  readonly route: Route;
  readonly segments: readonly string[];
}

const routes: readonly Route[] = [
  ...pollRoutes,
  ...taskRoutes,
  ...queueRoutes,
  ...searchRoutes,
  ...workflowRoutes,
  ...metadataRoutes,
  ...healthRoutes,
];

const compiled = compile(routes);

/** By number of segments; of two routes that fit, the one with more that is fixed comes first. */
function compile(all: readonly Route[]): ReadonlyMap<number, readonly CompiledRoute[]> {
  const byLength = new Map<number, CompiledRoute[]>();
  for (const route of all) {
    const segments = route[1].split("/").slice(1);
    const sameLength = byLength.get(segments.length) ?? [];
    sameLength.push({ route, segments });
    byLength.set(segments.length, sameLength);
  }
  for (const sameLength of byLength.values()) sameLength.sort((a, b) => openParts(a) - openParts(b));
  return byLength;
}

function openParts({ segments }: CompiledRoute): number {
  return segments.filter((segment) => segment.startsWith("{")).length;
}

/** From request to answer. Everything that goes wrong becomes an answer as well. */
export function answer(state: EngineState, raw: RawRequest): RouteReply | HeldReply {
  const [path = "", queryText = ""] = splitAt(raw.url, "?");
  if (/%2f|%5c|%00/i.test(path)) return tomcatRefusal();
  try {
    const encoded = path.split("/").slice(1);
    const { handler, parameters } = find(raw.method, path, encoded);
    const request: RouteRequest = {
      method: raw.method,
      parameters,
      query: new URLSearchParams(queryText),
      body: raw.body,
      contentType: raw.contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "",
      now: raw.now,
    };
    return handler(request, state);
  } catch (error) {
    return errorReply(error);
  }
}

function find(method: string, path: string, encoded: readonly string[]) {
  let otherMethod = false;
  for (const { route, segments } of compiled.get(encoded.length) ?? []) {
    if (!segments.every((segment, index) => segment.startsWith("{") || segment === encoded[index])) continue;
    if (route[0] !== method) {
      otherMethod = true;
      continue;
    }
    const parameters: Record<string, string> = {};
    segments.forEach((segment, index) => {
      if (segment.startsWith("{")) parameters[segment.slice(1, -1)] = decodeURIComponent(encoded[index] ?? "");
    });
    return { handler: route[2], parameters };
  }
  if (otherMethod) throw new Refusal(405, `Request method '${method}' is not supported`);
  throw new Refusal(404, `No static resource ${path.slice(1)}.`);
}

export function errorReply(error: unknown): RouteReply {
  if (error instanceof URIError) return tomcatRefusal();
  const status = error instanceof Refusal ? error.status : 500;
  const message = error instanceof Error ? error.message : String(error);
  const validationErrors = error instanceof Refusal ? error.validationErrors : undefined;
  return {
    status,
    contentType: "application/json",
    body: JSON.stringify({
      status,
      message,
      // The server's answer to a violated constraint does not name it.
      ...(validationErrors === undefined && { instance: "embedded" }),
      retryable: false,
      validationErrors,
    }),
  };
}

/** What Tomcat itself refuses never reaches the server's own error format. */
const tomcatRefusal = (): RouteReply => ({
  status: 400,
  contentType: "text/html;charset=utf-8",
  body: '<!doctype html><html lang="en"><head><title>HTTP Status 400 – Bad Request</title></head><body><h1>HTTP Status 400 – Bad Request</h1></body></html>',
});

function splitAt(value: string, separator: string): [string, string] {
  const index = value.indexOf(separator);
  return index < 0 ? [value, ""] : [value.slice(0, index), value.slice(index + 1)];
}
