import type { HandedOut, ReceivedPoll } from "../engine/hand-out.js";
import { fault } from "../engine/refusal.js";
import type { EngineState } from "../engine/state.js";
import type { HandOut } from "../ledger.js";

/** A request as the routes see it. */
export interface RouteRequest {
  readonly method: string;
  /** Parts of the path that the route left open, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: string;
  /** Without its parameters; empty when there was none. */
  readonly contentType: string;
  /** Epoch ms. */
  readonly now: number;
}

export interface RouteReply {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string;
  /** The tasks that this answer carries to a worker. */
  readonly handOuts?: readonly HandOut[];
}

/** An answer that has to wait for tasks. */
export interface HeldReply {
  readonly poll: ReceivedPoll;
  readonly reply: (handedOut: readonly HandedOut[]) => RouteReply;
}

export type Handler = (request: RouteRequest, state: EngineState) => RouteReply | HeldReply;

/** `[method, path, handler]`; a part of the path in braces stands for anything. */
export type Route = readonly [method: string, path: string, handler: Handler];

export const isHeld = (reply: RouteReply | HeldReply): reply is HeldReply => "poll" in reply;

export const json = (value: unknown): RouteReply => ({
  status: 200,
  contentType: "application/json",
  body: JSON.stringify(value),
});

/** The server answers texts as they are, without quotes, whatever was asked for. */
export const text = (value: string): RouteReply => ({
  status: 200,
  contentType: "text/plain;charset=UTF-8",
  body: value,
});

export const empty: RouteReply = { status: 200, body: "" };
export const noContent: RouteReply = { status: 204, body: "" };

/** The body as JSON. Anything that is not JSON is a 500, as it is on the server. */
export function bodyOf({ body, contentType }: RouteRequest): unknown {
  if (body === "") throw fault("Required request body is missing");
  if (contentType !== "application/json" && !contentType.endsWith("+json")) {
    throw fault(`Content-Type '${contentType}' is not supported`);
  }
  try {
    return JSON.parse(body) as unknown;
  } catch (error) {
    throw fault(`JSON parse error: ${(error as Error).message}`);
  }
}

export function objectBodyOf(request: RouteRequest): Record<string, unknown> {
  const body = bodyOf(request);
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw fault("JSON parse error: Cannot deserialize an object from this value");
  }
  return body as Record<string, unknown>;
}

export function arrayBodyOf(request: RouteRequest): unknown[] {
  const body = bodyOf(request);
  if (!Array.isArray(body)) throw fault("JSON parse error: Cannot deserialize value of type `ArrayList`");
  return body as unknown[];
}

export function integerQuery({ query }: RouteRequest, name: string, byDefault: number): number {
  const value = query.get(name);
  if (value === null || value === "") return byDefault;
  if (!/^[+-]?\d{1,10}$/.test(value)) {
    throw fault(
      `Method parameter '${name}': Failed to convert value of type 'java.lang.String' to required type 'int'; For input string: "${value}"`,
    );
  }
  return Number(value);
}

export function requiredQuery({ query }: RouteRequest, name: string): string {
  const value = query.get(name);
  if (value === null)
    throw fault(`Required request parameter '${name}' for method parameter type String is not present`);
  return value;
}

export const booleanQuery = ({ query }: RouteRequest, name: string, byDefault: boolean): boolean => {
  const value = query.get(name);
  return value === null || value === "" ? byDefault : value === "true";
};

export const parameter = ({ parameters }: RouteRequest, name: string): string => parameters[name] ?? "";
