import { onTestFinished } from "vitest";
import type { Exchange, HttpRequest, Transport } from "../../../src/http/exchange.js";
import { createTransport, type TransportOptions } from "../../../src/http/transport.js";

/** A transport that is closed when the test ends. */
export function startTransport(baseUrl: string, options: Omit<TransportOptions, "baseUrl"> = {}): Transport {
  const transport = createTransport({ baseUrl, ...options });
  onTestFinished(() => void transport.close());
  return transport;
}

/** A request with what a test does not care about filled in. */
export function get(path = "/x", options: Partial<HttpRequest> = {}): HttpRequest {
  return { lane: "main", method: "GET", path, pathTemplate: path, deadlineMs: 5_000, ...options };
}

export function post(path = "/x", body = "{}", options: Partial<HttpRequest> = {}): HttpRequest {
  return get(path, { method: "POST", body, ...options });
}

/** `answered 200`, `notSent CLOSED`, …: what an exchange came to. */
export function summary(exchange: Exchange): string {
  return exchange.kind === "answered" ? `answered ${exchange.status}` : `${exchange.kind} ${exchange.fault.code}`;
}
