import { describe, expect, test } from "vitest";
import { parseJson, toReply, valueOf } from "../../../src/conductor/reply.js";
import type { Exchange, HttpRequest } from "../../../src/http/exchange.js";
import { answer, html, json } from "../../support/unit/conductor.js";

const request: HttpRequest = {
  lane: "main",
  method: "POST",
  path: "/tasks/a%20b",
  pathTemplate: "/tasks/{taskId}",
  deadlineMs: 1,
};
const reply = (exchange: Exchange, check: () => string | undefined = () => "checked") =>
  toReply(request, exchange, check);
const errorOf = (exchange: Exchange, check?: () => string | undefined) => {
  const { kind, ...rest } = reply(exchange, check);
  if (!("error" in rest)) throw new Error("answered");
  return { kind, error: rest.error };
};

describe("the reply of the server", () => {
  test.each([200, 201, 204, 299])("%i with a body that makes sense is an answer", (status) => {
    expect(reply(answer(status))).toEqual({ kind: "answered", value: "checked" });
  });

  test("an answer that Conductor does not give may have been done, and is called by its kind and size only", () => {
    const { kind, error } = errorOf(html(200), () => undefined);
    expect(kind).toBe("maybeApplied");
    expect(error).toMatchObject({ code: "MALFORMED_RESPONSE", status: 200, retryable: true });
    expect(error.message).toContain("38 characters of text/html");
    expect(error.message).not.toContain("secret");
  });

  test.each(["notSent", "maybeApplied"] as const)("a fault stays what it is: %s", (kind) => {
    const cause = new Error("econnreset");
    const { kind: seen, error } = errorOf({ kind, fault: { code: "CONNECTION_LOST", message: "reset", cause } });
    expect(seen).toBe(kind);
    expect(error).toMatchObject({
      code: "CONNECTION_LOST",
      message: "POST /tasks/{taskId}: reset",
      retryable: true,
      cause,
    });
    expect(error.status).toBeUndefined();
  });

  test.each(["INVALID_REQUEST", "CLOSED"] as const)("after %s trying again does not help", (code) => {
    expect(errorOf({ kind: "notSent", fault: { code, message: "x" } }).error.retryable).toBe(false);
  });

  describe("a refusal", () => {
    test("says what the server said, and never the id", () => {
      const validationErrors = [{ path: "taskId", message: "empty" }];
      const { kind, error } = errorOf(json({ status: 400, message: "bad", retryable: false, validationErrors }, 400));
      expect(kind).toBe("refused");
      expect(error).toMatchObject({
        status: 400,
        serverMessage: "bad",
        validationErrors,
        message: "POST /tasks/{taskId}: HTTP 400: bad taskId: empty",
      });
    });

    test.each([
      [html(502)],
      [answer(502)],
      [answer(502, "[]")],
      [answer(502, '{"message":')],
      [json({ message: 5 }, 502)],
      [json({ error: "x" }, 502)],
      [json(null, 502)],
    ])("that is not in Conductor's words has none: %j", (exchange) => {
      const { error } = errorOf(exchange);
      expect(error.serverMessage).toBeUndefined();
      expect(error.message).not.toContain("secret");
    });

    test.each([
      [408, true],
      [425, true],
      [429, true],
      [502, true],
      [503, true],
      [504, true],
      [301, false],
      [400, false],
      [401, false],
      [403, false],
      [404, false],
      [409, false],
      [413, false],
      [501, false],
    ])("%i may pass: %s", (status, retryable) => {
      // prettier-ignore
      expect(errorOf(json({ message: "x" }, status)).error.retryable).toBe(retryable);
    });

    test.each([
      [json({ message: "x", retryable: true }, 500), true],
      [json({ message: "x", retryable: false }, 500), false],
      [json({ message: "x" }, 500), true],
      [json({ status: 500, message: "x" }, 500), true],
      [html(500), true],
    ])("500 may pass unless the server says no", (exchange, retryable) => {
      expect(errorOf(exchange).error.retryable).toBe(retryable);
    });

    test.each([
      ["https://conductor.example.com/login?session=secret", "a redirect to https://conductor.example.com;"],
      ["/login?session=secret", "a redirect to another path;"],
    ])("names who it redirects to, and no more", (location, expected) => {
      const { message } = errorOf(answer(302, "", { location })).error;
      expect(message).toContain(expected);
      expect(message).not.toContain("secret");
      expect(errorOf(answer(404, "", { location })).error.message).not.toContain("redirect");
    });

    test("carries what the server asked us to wait", () => {
      expect(errorOf(answer(503, "", { retryAfterMs: 2_000 })).error.retryAfterMs).toBe(2_000);
    });
  });

  test("valueOf gives the value or throws the error", () => {
    expect(valueOf(reply(answer(200)))).toBe("checked");
    expect(() => valueOf(reply(answer(404)))).toThrow("HTTP 404: an answer of no body");
  });

  test("parseJson never throws", () => {
    expect([parseJson("null"), parseJson('{"a":1}'), parseJson(""), parseJson("<")]).toEqual([
      null,
      { a: 1 },
      undefined,
      undefined,
    ]);
  });

  test("a message says what the server found wrong, field by field, and is not longer than needed", () => {
    const wrong = (validationErrors: unknown) =>
      errorOf(json({ status: 400, message: "Validation failed.", retryable: false, validationErrors }, 400)).error
        .message;
    const entry = { path: "update.name", message: "must not be empty", invalidValue: "secret" };
    expect(wrong([entry, { message: "too many" }])).toBe(
      "POST /tasks/{taskId}: HTTP 400: Validation failed. update.name: must not be empty; too many",
    );
    expect(wrong(Array.from({ length: 7 }, () => entry))).toMatch(/; and 2 more$/);
    for (const odd of [[], [null, 5, {}], "x", {}]) expect(wrong(odd)).toMatch(/HTTP 400: Validation failed\.$/);
  });
});
