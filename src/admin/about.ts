import type { TaskHandlerStatus } from "../status.js";

/** What `/status` and the page tell beside the handler's status. */
export interface AboutProcess {
  /** Ostinato's version; `unknown` in a bundle. */
  readonly version: string;
  readonly node: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
}

export function aboutThisProcess(version: string): AboutProcess {
  return { version, node: process.version, pid: process.pid, uptimeSeconds: Math.round(process.uptime()) };
}

/** The body of `/status`: times in whole milliseconds. */
export function statusBody(status: TaskHandlerStatus, facts: AboutProcess): object {
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
