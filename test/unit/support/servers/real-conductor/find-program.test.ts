import { describe, expect, test } from "vitest";
import {
  findJava,
  findMaven,
  findRedis,
  javaVersion,
  redisVersion,
  type Surroundings,
} from "../../../../support/servers/real-conductor/find-program.js";

interface Machine {
  readonly env?: NodeJS.ProcessEnv;
  readonly platform?: NodeJS.Platform;
  /** Programs, and what they say when they are asked for their version; `undefined` when they cannot be run. */
  readonly programs: Readonly<Record<string, string | undefined>>;
}

function machine({ env = {}, platform = "linux", programs }: Machine): Surroundings {
  return {
    env,
    platform,
    home: "/home/ada",
    list: (folder) =>
      Object.keys(programs)
        .filter((file) => file.startsWith(`${folder}/`))
        .map((file) => file.slice(folder.length + 1).split("/")[0] ?? ""),
    isExecutable: (file) => file in programs,
    ask: async (file) => programs[file],
  };
}

const java = (version: string) => `openjdk version "${version}" 2026-01-20\nOpenJDK Runtime Environment`;

describe("finding a program of the real server", () => {
  describe("Java", () => {
    test.each([
      ['java version "1.8.0_402"', 8],
      ['openjdk version "17.0.15" 2025-04-15', 17],
      ['openjdk version "21" 2023-09-19', 21],
      ['Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version "25.0.3" 2026-04-21 LTS', 25],
      ["No Java runtime present, requesting install.", undefined],
    ])("%j is %j", (said, version) => {
      expect(javaVersion(said)).toBe(version);
    });

    test("JAVA_HOME comes first, then the PATH in its order", async () => {
      const programs = { "/home/jdk/bin/java": java("21.0.1"), "/a/java": java("24"), "/b/java": java("25") };
      const env = { PATH: "/a:/b" };
      expect(await findJava(machine({ env: { ...env, JAVA_HOME: "/home/jdk" }, programs }))).toBe("/home/jdk/bin/java");
      expect(await findJava(machine({ env, programs }))).toBe("/a/java");
    });

    test("steps over those that are too old or do not run, to the usual places", async () => {
      const env = { JAVA_HOME: "/home/jdk", PATH: "/usr/bin" };
      const programs = {
        "/home/jdk/bin/java": undefined,
        "/usr/bin/java": java("17.0.15"),
        "/usr/lib/jvm/java-17/bin/java": java("17.0.15"),
        "/usr/lib/jvm/temurin-25/bin/java": java("25.0.3"),
      };
      expect(await findJava(machine({ env, programs }))).toBe("/usr/lib/jvm/temurin-25/bin/java");
    });

    test.each([
      "/opt/jdk-21/bin/java",
      "/opt/java/openjdk/bin/java",
      "/home/ada/.sdkman/candidates/java/21.0.5-tem/bin/java",
      "/Library/Java/JavaVirtualMachines/temurin-21.jdk/Contents/Home/bin/java",
      "/opt/homebrew/opt/openjdk@21/bin/java",
    ])("finds %s", async (file) => {
      expect(await findJava(machine({ programs: { [file]: java("21.0.5") } }))).toBe(file);
    });

    test("asks macOS where it is", async () => {
      const programs = { "/usr/libexec/java_home": "/some/where\n", "/some/where/bin/java": java("23") };
      expect(await findJava(machine({ platform: "darwin", programs }))).toBe("/some/where/bin/java");
    });

    test("without one it says what it found and what to install", async () => {
      const none = findJava(machine({ env: { PATH: "/usr/bin" }, programs: { "/usr/bin/java": java("17.0.15") } }));
      await expect(none).rejects.toThrow(
        /needs Java 21 or later; \/usr\/bin\/java is Java 17\.\nInstall one .*openjdk-21-jre-headless.*\n.*JAVA_HOME/,
      );
      await expect(findJava(machine({ programs: {} }))).rejects.toThrow(/needs Java 21 or later\.\n/);
    });
  });

  describe("Redis", () => {
    const redis = (version: string) => `Redis server v=${version} sha=00000000:0 malloc=jemalloc-5.3.0 bits=64`;

    test.each([
      [redis("7.0.15"), [7, 0]],
      [redis("6.2.0"), [6, 2]],
      ["command not found", undefined],
    ])("%j is %j", (said, version) => {
      expect(redisVersion(said)).toEqual(version);
    });

    test("takes the first that is new enough", async () => {
      const programs = { "/a/redis-server": redis("6.0.16"), "/b/redis-server": redis("6.2.7") };
      expect(await findRedis(machine({ env: { PATH: "/a:/b" }, programs }))).toBe("/b/redis-server");
    });

    test("without one it says what it found and what to install", async () => {
      const programs = { "/a/redis-server": redis("6.0.16") };
      await expect(findRedis(machine({ env: { PATH: "/a" }, programs }))).rejects.toThrow(
        /needs redis-server 6\.2 or later; \/a\/redis-server is 6\.0\.\nInstall it .*--queue sqlite/,
      );
    });
  });

  test("Maven is on the PATH, or its package is named", () => {
    expect(findMaven(machine({ env: { PATH: "/a:/b" }, programs: { "/b/mvn": "" } }))).toBe("/b/mvn");
    expect(() => findMaven(machine({ programs: {} }))).toThrow(
      /no mvn on the PATH\.\nInstall it .*CONDUCTOR_SERVER_JAR/,
    );
  });
});
