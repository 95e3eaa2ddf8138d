import type { Exchange, HttpRequest, Transport } from "../../../src/http/exchange.js";

export type Answer = Partial<Extract<Exchange, { kind: "answered" }>> | Exclude<Exchange, { kind: "answered" }>;

export const answer = (status: number, body = "", more: Answer = {}): Exchange =>
  ({ kind: "answered", status, body, contentType: "application/json", ...more }) as Exchange;
export const json = (value: unknown, status = 200): Exchange => answer(status, JSON.stringify(value));
export const html = (status: number): Exchange =>
  answer(status, "<html><body>token=secret</body></html>", { contentType: "text/html" });

/** A transport that gives one answer after the other, the last one for ever, and remembers what was asked. */
export function fakeTransport(...answers: readonly Exchange[]) {
  const requests: HttpRequest[] = [];
  const transport: Transport = {
    request: (request) => {
      requests.push(request);
      return Promise.resolve(answers[Math.min(requests.length, answers.length) - 1]!);
    },
    close: () => Promise.resolve(),
  };
  return { transport, requests };
}
