import { describe, expect, test } from "vitest";

import { codeOf, isMalformed, messageOf } from "../../../src/http/fault.js";

describe("an error of the HTTP transport in words", () => {
  test("an error with several causes says all of them, once each", () => {
    const refused = [
      new Error("connect ECONNREFUSED ::1:80"),
      new Error("connect ECONNREFUSED 127.0.0.1:80"),
      new Error("connect ECONNREFUSED ::1:80"),
    ];
    expect(messageOf(new AggregateError(refused))).toBe(
      "connect ECONNREFUSED ::1:80; connect ECONNREFUSED 127.0.0.1:80",
    );
  });

  test("an error without a message says its code", () => {
    expect(messageOf(Object.assign(new Error(""), { code: "EPIPE" }))).toBe("EPIPE");
    expect(messageOf(new TypeError(""))).toBe("TypeError");
  });

  test.each([undefined, null, 7, "text", {}, Object.create(null), [], { code: 5 }])("%j does not throw", (value) => {
    expect(messageOf(value)).toBeTypeOf("string");
    expect(codeOf(value)).toBe("");
  });

  test("bytes that are not HTTP are malformed, a cut is not", () => {
    const parserError = (reason: string) =>
      Object.assign(new Error(`Response does not match the HTTP/1.1 protocol (${reason})`), {
        name: "HTTPParserError",
      });
    expect(isMalformed(parserError("Expected HTTP/"))).toBe(true);
    expect(isMalformed(Object.assign(new Error("too long"), { code: "UND_ERR_HEADERS_OVERFLOW" }))).toBe(true);
    expect(isMalformed(parserError("Invalid EOF state"))).toBe(false);
    expect(isMalformed(Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET" }))).toBe(false);
    expect(isMalformed(undefined)).toBe(false);
  });
});
