import { describe, expect, test } from "vitest";
import { problemsWith, resolve } from "../../support/unit/config.js";

describe("the configuration of the journal", () => {
  test("none by default", () => {
    expect(resolve()).toMatchObject({ journal: undefined });
  });

  test("a folder, and without fsync unless asked for", () => {
    expect(resolve({ journal: { dir: "/j" } })).toMatchObject({
      journal: { dir: "/j", fsync: false },
    });
    expect(resolve({ journal: { dir: "/j", fsync: true } }).journal).toEqual({ dir: "/j", fsync: true });
  });

  test.each([
    ["/j", 'option journal must be an object with a dir, got "/j"; write journal: { dir: "/j" }'],
    [true, "option journal must be an object with a dir, got true"],
    [null, "option journal must be an object with a dir, got null"],
    [{}, "option journal.dir must name a folder, got undefined; leave journal out to keep none"],
    [{ dir: " " }, 'option journal.dir must name a folder, got " "; leave journal out to keep none'],
    [{ dir: "/j", fsync: "yes" }, 'option journal.fsync must be a boolean, got "yes"'],
    [{ dir: "/j", fsyncs: true }, "option journal.fsyncs does not exist (did you mean fsync?)"],
  ])("%j is wrong", (journal, problem) => {
    expect(problemsWith({ journal })).toEqual([problem]);
  });
});
