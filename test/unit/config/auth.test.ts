import { inspect } from "node:util";
import { describe, expect, test } from "vitest";
import type { ConfigurationError } from "../../../src/base/errors.js";
import { createConductorClient } from "../../../src/client/conductor-client.js";
import { problemsWith, resolve } from "../../support/unit/config.js";

const KEY = "CONDUCTOR_AUTH_KEY";
const SECRET = "CONDUCTOR_AUTH_SECRET";

const authOf = (auth: unknown, env: Record<string, string> = {}) => {
  const config = resolve({ auth }, env);
  if (config.auth === undefined) return [undefined, config.sources.auth];
  return [config.auth.keyId, config.auth.keySecret.reveal(), config.sources.auth];
};

describe("the configuration", () => {
  describe("the access key", () => {
    test("comes from the environment, else from the code, else there is none", () => {
      const code = { keyId: " id ", keySecret: " secret\n" };
      expect(authOf(code, { [KEY]: " env-id", [SECRET]: "env-secret " })).toEqual([
        "env-id",
        "env-secret",
        `env ${KEY}`,
      ]);
      expect(authOf(code)).toEqual(["id", "secret", "code"]);
      expect(authOf(undefined)).toEqual([undefined, "default"]);
    });

    test("is not set when it is blank", () => {
      expect(authOf({ keyId: "id", keySecret: "secret" }, { [KEY]: "", [SECRET]: " " })[2]).toBe("code");
      expect(authOf({ keyId: "", keySecret: " " })).toEqual([undefined, "default"]);
      expect(authOf({})).toEqual([undefined, "default"]);
    });

    test.each([
      [KEY, SECRET],
      [SECRET, KEY],
    ])("has both halves from one place: %s alone is an error", (given, missing) => {
      const problem = `environment variable ${given} is set and ${missing} is not: set both, or neither`;
      expect(problemsWith({}, { [given]: "hush" })).toEqual([problem]);
      expect(problemsWith({ auth: { keyId: "id", keySecret: "hush" } }, { [given]: "hush", [missing]: " " })).toEqual([
        problem,
      ]);
    });

    test.each([
      [{ keyId: "hush" }, "option auth.keySecret must be a string, got nothing; set both, or neither"],
      [{ keyId: " ", keySecret: "hush" }, "option auth.keyId must be a string, got nothing; set both, or neither"],
      [{ keyId: "hush", keySecret: 5 }, "option auth.keySecret must be a string, got a value of type number"],
      [{ keyId: "hush", keySecret: "hush", keyID: "hush" }, "option auth.keyID does not exist (did you mean keyId?)"],
      ["hush:hush", "option auth must be { keyId, keySecret }, got a value of type string"],
      [["hush"], "option auth must be { keyId, keySecret }, got a value of type object"],
      [null, "option auth must be { keyId, keySecret }, got null; leave it out for none"],
    ])("is refused without being repeated: %#", (auth, problem) => {
      expect(problemsWith({ auth })).toEqual([problem]);
      expect(problem).not.toContain("hush");
    });

    test("is shown by no configuration, however it is looked at", () => {
      const config = resolve({ auth: { keyId: "id", keySecret: "hush" } });
      expect(inspect(config, { depth: Infinity, showHidden: true })).not.toContain("hush");
      expect(inspect(config, { depth: Infinity, showHidden: true, customInspect: false })).not.toContain("hush");
      expect(JSON.stringify(config)).not.toContain("hush");
    });

    test("is checked by the client as by the handler", () => {
      try {
        createConductorClient({ auth: { keyId: "hush" } as never, requestTimeoutMs: 0 });
        expect.unreachable();
      } catch (error) {
        expect((error as ConfigurationError).problems).toHaveLength(2);
        expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain("hush");
      }
    });
  });
});
