import { describe, expect, test } from "vitest";
import { parseServerUrl } from "../../../src/config/server-url.js";
import { problemsWith, resolve } from "../../support/unit/config.js";

describe("the configuration", () => {
  describe("the server's address", () => {
    test.each([
      ["http://localhost:8080", "http://localhost:8080/api"],
      ["http://localhost:8080/", "http://localhost:8080/api"],
      ["http://localhost:8080/api", "http://localhost:8080/api"],
      ["http://localhost:8080/api///", "http://localhost:8080/api"],
      ["https://Conductor.Example.com:443/", "https://conductor.example.com/api"],
      ["https://example.com/conductor", "https://example.com/conductor/api"],
      ["https://example.com/conductor/api/", "https://example.com/conductor/api"],
      ["https://example.com/myapi", "https://example.com/myapi/api"],
      ["http://[::1]:8080", "http://[::1]:8080/api"],
      ["HTTP://localhost", "http://localhost/api"],
    ])("%s is %s", (given, url) => {
      expect(parseServerUrl(given)).toEqual({ url });
      expect(parseServerUrl(url)).toEqual({ url });
    });

    test.each([
      ["localhost:8080", /must begin with http:\/\//],
      ["conductor.example.com/api", /is not a URL.*must begin with http:\/\//],
      ["ftp://example.com", /with http or https; got "ftp:/],
      ["file:///etc/passwd", /http or https/],
      ["http://", /is not a URL/],
      ["http://exa mple.com", /is not a URL/],
      ["http://host:99999", /is not a URL/],
      ["http://host/api?x=1", /query or a fragment/],
      ["http://host/api?", /query or a fragment/],
      ["http://host/api#top", /query or a fragment/],
      ["http://user@host/api", /must not contain a user name or password/],
    ])("%s is refused", (given, message) => {
      expect(parseServerUrl(given)).toEqual({ problem: expect.stringMatching(message) });
    });

    test.each([
      "http://user:hunter2@host/api",
      "http://user:hunter2@@host/api",
      "http://user:hunter2/x@host/api",
      "http://user:1?hunter2@host/api",
      "http://user:1#hunter2@host/api",
      "http://user:hunter2@ho st",
      "ftp://user:hunter2@host",
      "user:hunter2@host",
      "http://host/api?token=hunter2",
      "ftp://host/api#hunter2",
      "http://ho st?hunter2",
    ])("a secret in it is not repeated: %s", (serverUrl) => {
      const problems = [...problemsWith({ serverUrl }), ...problemsWith({}, { CONDUCTOR_SERVER_URL: serverUrl })];
      expect(problems).toHaveLength(2);
      expect(problems.join()).not.toContain("hunter2");
    });

    test("must be a string in code, and a URL object does not give its password away either", () => {
      const serverUrl = new URL("http://user:hunter2@host");
      expect(problemsWith({ serverUrl })).toEqual([
        expect.stringMatching(/^option serverUrl must be .* of type object$/),
      ]);
      expect(problemsWith({ serverUrl: 8080 })).toHaveLength(1);
    });

    test("names its source when it is wrong", () => {
      expect(problemsWith({ serverUrl: "nonsense" })[0]).toMatch(/^option serverUrl /);
      expect(problemsWith({}, { CONDUCTOR_SERVER_URL: "nonsense" })[0]).toMatch(
        /^environment variable CONDUCTOR_SERVER_URL /,
      );
    });

    test("is the default when blank", () => {
      expect(resolve({ serverUrl: " " })).toMatchObject({
        serverUrl: "http://localhost:8080/api",
        sources: { serverUrl: "default" },
      });
    });
  });
});
