import { readFileSync } from "node:fs";
import type { TaskHandlerStatus } from "../handler/task-handler.js";

/** What `/status` and the page tell beside the handler's status. */
export interface ProcessFacts {
  /** Ostinato's version; `unknown` in a bundle. */
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
}

/** Costs a file: read it once. */
export function readVersion(): string {
  try {
    const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
      name?: unknown;
      version?: unknown;
    };
    // In a bundle there may be another package's file at this place.
    if (manifest.name === "ostinato" && typeof manifest.version === "string") return manifest.version;
  } catch {
    // There is no such file in a bundle.
  }
  return "unknown";
}

export function processFacts(version: string): ProcessFacts {
  return { version, node: process.version, pid: process.pid, uptimeSeconds: Math.round(process.uptime()) };
}

/** The body of `/status`: times in whole milliseconds. */
export function statusBody(status: TaskHandlerStatus, facts: ProcessFacts): object {
  const runners = status.runners.map(({ lastBeatAgoMs, lastPollAgoMs, pollsFailing, ...rest }) => ({
    ...rest,
    lastBeatAgoMs: Math.round(lastBeatAgoMs),
    ...(lastPollAgoMs === undefined ? {} : { lastPollAgoMs: Math.round(lastPollAgoMs) }),
    ...(pollsFailing === undefined
      ? {}
      : { pollsFailing: { forMs: Math.round(pollsFailing.forMs), error: pollsFailing.error } }),
  }));
  return { ...facts, ...status, runners };
}
