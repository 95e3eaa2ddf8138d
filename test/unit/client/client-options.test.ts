import { afterEach, describe, expect, test, vi } from "vitest";
import { createConductorClient, type ConductorClientOptions } from "../../../src/client/conductor-client.js";

const problemsOf = (options: unknown): readonly string[] => {
  try {
    void createConductorClient(options as ConductorClientOptions).close();
    return [];
  } catch (error) {
    expect(error).toMatchObject({ code: "INVALID_CONFIGURATION" });
    return (error as { problems: string[] }).problems;
  }
};

describe("the options of a client", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  test("what is no object is refused, and a URL alone does not mean localhost", () => {
    expect(problemsOf("http://conductor:8080/api")).toEqual([
      'the client must be given its options as an object, got "http://conductor:8080/api"; write { serverUrl: "http://conductor:8080/api" }',
    ]);
    expect(problemsOf(null)).toEqual([expect.stringContaining("got null")]);
  });

  test("all that is wrong is named, and what does not exist", () => {
    expect(problemsOf({ url: "http://h/api", requestTimeout: 5, serverUrl: 5, requestTimeoutMs: "100" })).toEqual([
      "option url does not exist",
      "option requestTimeout does not exist (did you mean requestTimeoutMs?)",
      expect.stringMatching(/^option serverUrl must be an address such as .*, got a value of type number$/),
      expect.stringMatching(/^option requestTimeoutMs must be a number of milliseconds .*, got "100"$/),
    ]);
    expect(problemsOf({ requestTimeoutMs: 1e12 })).toHaveLength(1);
  });

  test("a blank value is not set, and a wrong variable is called by its name", () => {
    vi.stubEnv("CONDUCTOR_SERVER_URL", " ");
    expect(problemsOf({ serverUrl: "" })).toEqual([]);
    vi.stubEnv("CONDUCTOR_SERVER_URL", "conductor:8080");
    expect(problemsOf({ serverUrl: "http://h/api" })).toEqual([
      expect.stringMatching(/^environment variable CONDUCTOR_SERVER_URL must be .*it must begin with http/),
    ]);
  });
});
