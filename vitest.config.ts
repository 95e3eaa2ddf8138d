import { defineConfig } from "vitest/config";

const kind = (name: string, timeoutMs: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: timeoutMs,
    hookTimeout: timeoutMs,
    pool: "forks" as const,
  },
});

export default defineConfig({
  test: {
    projects: [kind("unit", 10_000), kind("contract", 30_000), kind("faults", 120_000), kind("e2e", 300_000)],
  },
});
