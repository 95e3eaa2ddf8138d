import { describe, expect, test } from "vitest";
import type { HttpRequest } from "../../../../src/http/exchange.js";
import { toReply } from "../../../../src/conductor/reply.js";
import { meaningOf } from "../../../../src/runner/answers/meaning.js";
import { answered, failed, lostAnswer, nonsense, refused, unreachable } from "../../../support/unit/runner.js";

const UPDATE: HttpRequest = { lane: "main", method: "POST", path: "/tasks", pathTemplate: "/tasks", deadlineMs: 1_000 };

/** What a whole answer with this body means, from the wire on. */
function meaningOfBody(status: number, body: unknown, contentType = "application/json") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return meaningOf(toReply(UPDATE, { kind: "answered", status, body: text, contentType }, () => undefined));
}

const STRANGERS_STATUSES = [
  300, 301, 302, 304, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416,
  417, 418, 421, 422, 423, 424, 425, 426, 428, 429, 431, 444, 451, 494, 495, 496, 497, 499, 500, 501, 502, 503, 504,
  505, 507, 508, 511, 520, 525, 530, 599,
];

/** As gateways, frameworks and proxies answer in Conductor's stead; `$` stands for the status. */
const STRANGERS_BODIES: readonly (readonly [string, (status: number) => unknown])[] = [
  ["nothing", () => ""],
  ["nginx", (status) => `<html><head><title>${status} Bad Request</title></head><center>nginx</center></html>`],
  ["AWS API Gateway", () => ({ message: "Missing Authentication Token" })],
  ["Kong", () => ({ message: "no Route matched with those values", request_id: "a1" })],
  ["Azure", (status) => ({ statusCode: status, message: "Resource not found" })],
  ["Google", (status) => ({ error: { code: status, message: "Not found", status: "NOT_FOUND" }, message: "no" })],
  ["Spring", (status) => ({ timestamp: "2026-01-01", status, error: "Bad Request", path: "/api/tasks" })],
  [
    "Spring with a message",
    (status) => ({ timestamp: 1, status, error: "Bad", message: "Bad Request", path: "/api/tasks" }),
  ],
  [
    "problem details",
    (status) => ({ type: "about:blank", title: "Bad", status, detail: "no", instance: "/api/tasks" }),
  ],
  ["a bare status and message", (status) => ({ status, message: "no" })],
  ["another status in Conductor's shape", (status) => ({ status: status + 1, message: "no", retryable: false })],
  ["a list", () => [{ message: "no", retryable: false }]],
  ["half of Conductor's body", (status) => `{"status":${status},"message":"No such task found by id: a","retr`],
];

describe("the meaning of an answer", () => {
  describe("of a stranger, who cannot say what it is about", () => {
    test.each(STRANGERS_BODIES)("in the words of %s, with any status", (_name, bodyOf) => {
      for (const status of STRANGERS_STATUSES) {
        const meaning = meaningOfBody(status, bodyOf(status), "text/html");
        expect({ status, ...meaning }).toMatchObject({ status, speaker: "stranger", subject: "open" });
      }
    });

    test.each([200, 201, 202, 204, 206])("as a success (%i) that Conductor does not give here", (status) => {
      expect(meaningOfBody(status, "<html></html>")).toMatchObject({ speaker: "stranger", subject: "open" });
    });
  });

  test.each([
    ["an acknowledgement", answered(true), "conductor", "done", "there"],
    ["no such task", refused(404, "No such task found by id: a"), "conductor", "task", "there"],
    ["no such workflow", refused(404, "no such workflow a"), "conductor", "task", "there"],
    ["no such endpoint", refused(404, "No static resource api/x."), "conductor", "endpoint", "there"],
    ["no such method", refused(405, "Request method 'POST' is not supported"), "conductor", "endpoint", "there"],
    ["400", refused(400, "bad"), "conductor", "request", "there"],
    ["409", refused(409, "conflict"), "conductor", "request", "there"],
    ["422", refused(422, "no"), "conductor", "request", "there"],
    ["401", refused(401, "no"), "conductor", "open", "unauthorized"],
    ["403", refused(403, "no"), "conductor", "open", "there"],
    ["429", refused(429, "later"), "conductor", "open", "overloaded"],
    ["503", refused(503, "later"), "conductor", "open", "overloaded"],
    ["500 that may pass", refused(500, "boom", { retryable: true }), "conductor", "open", "unknown"],
    ["500", refused(500, "boom", { retryable: false }), "conductor", "failure", "unknown"],
    ["a stranger's 401", refused(401), "stranger", "open", "unauthorized"],
    ["a stranger's 403", refused(403), "stranger", "open", "unauthorized"],
    ["a stranger's 400", refused(400), "stranger", "open", "overloaded"],
    ["a stranger's 503", refused(503), "stranger", "open", "overloaded"],
    ["a redirect", refused(302), "stranger", "open", "overloaded"],
    ["nonsense with status 200", nonsense(), "stranger", "open", "overloaded"],
    ["a refused connection", unreachable(), "nobody", "server", "unreachable"],
    ["a lost answer", lostAnswer(), "nobody", "open", "unreachable"],
    ["a deadline", failed("maybeApplied", "DEADLINE_EXCEEDED"), "nobody", "open", "silent"],
    ["a deadline before anything was sent", failed("notSent", "DEADLINE_EXCEEDED"), "nobody", "server", "silent"],
    ["nonsense for a token", failed("notSent", "MALFORMED_RESPONSE"), "nobody", "server", "overloaded"],
    ["a request that cannot be sent", failed("notSent", "INVALID_REQUEST"), "nobody", "request", "unknown"],
    ["a closed transport", failed("notSent", "CLOSED"), "nobody", "server", "unknown"],
  ] as const)("%s", (_name, reply, speaker, subject, server) => {
    expect(meaningOf(reply)).toMatchObject({ speaker, subject, server });
  });

  test("Conductor's own words are known by what only it says, whether to try again", () => {
    expect(meaningOfBody(400, { status: 400, message: "bad", instance: "h", retryable: false })).toMatchObject({
      speaker: "conductor",
      subject: "request",
    });
    expect(meaningOfBody(404, { message: "No such task found by id: a" })).toMatchObject({ subject: "task" });
  });
});
