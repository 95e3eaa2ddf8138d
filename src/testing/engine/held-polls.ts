import type { TaskQueue } from "./queue.js";
import type { Alarm, Timeline } from "./timeline.js";

/**
 * How the queue behind the server answers a poll that may wait:
 * - `patient` (SQLite, Postgres): looks every 100 ms and answers when all `count` tasks are gathered or the timeout has
 *   passed; a timeout of 0 takes what is there.
 * - `eager` (Redis, Orkes): answers at the first task, with what else comes within 2 ms; a timeout of 0 finds nothing
 *   while another poll is held on that queue, and for a while after one ended empty.
 * - `instant` (MySQL): takes what is there and ignores the timeout.
 */
export type QueueKind = "patient" | "eager" | "instant";

/** Gets the task ids that a poll has taken. */
export type PollAnswer = (taskIds: string[], now: number) => void;

export interface Polling {
  hold(queue: TaskQueue, count: number, timeoutMs: number, now: number, answer: PollAnswer): void;
  /** Says that something was put into the queue. */
  pushed(queue: TaskQueue, now: number): void;
}

const PATIENT_STEP_MS = 100;
const EAGER_GATHERING_MS = 2;
const EAGER_BLINDNESS_MS = 150;

export function createPolling(kind: QueueKind, timeline: Timeline): Polling {
  switch (kind) {
    case "patient":
      return createPatientPolling(timeline);
    case "eager":
      return createEagerPolling(timeline);
    case "instant":
      return {
        hold: (queue, count, _timeoutMs, now, answer) => {
          answer(queue.pop(count, now), now);
        },
        pushed: () => {},
      };
  }
}

function createPatientPolling(timeline: Timeline): Polling {
  return {
    hold(queue, count, timeoutMs, startedAt, answer) {
      const gathered: string[] = [];
      const look = (now: number): void => {
        gathered.push(...queue.pop(count - gathered.length, now));
        if (gathered.length >= count || timeoutMs < 1 || now - startedAt >= timeoutMs) answer(gathered, now);
        else timeline.setAlarm(now + PATIENT_STEP_MS, look);
      };
      look(startedAt);
    },
    pushed: () => {},
  };
}

interface Waiter {
  readonly count: number;
  readonly answer: PollAnswer;
  end: Alarm | undefined;
}

interface PollLine {
  readonly waiting: Waiter[];
  /** Until then a poll that does not wait sees nothing. */
  blindUntil: number;
  /** Rings when the next delayed task becomes visible. */
  alarm: Alarm | undefined;
}

function createEagerPolling(timeline: Timeline): Polling {
  const lines = new Map<TaskQueue, PollLine>();
  const lineOf = (queue: TaskQueue): PollLine => {
    let line = lines.get(queue);
    if (line === undefined) {
      line = { waiting: [], blindUntil: 0, alarm: undefined };
      lines.set(queue, line);
    }
    return line;
  };

  const gather = (queue: TaskQueue, { count, answer }: Waiter, now: number): void => {
    const gathered = queue.pop(count, now);
    if (gathered.length >= count) {
      answer(gathered, now);
      return;
    }
    timeline.setAlarm(now + EAGER_GATHERING_MS, (later) => {
      answer([...gathered, ...queue.pop(count - gathered.length, later)], later);
    });
  };

  const serve = (queue: TaskQueue, now: number): void => {
    const line = lineOf(queue);
    while (line.waiting.length > 0 && queue.hasVisible(now)) {
      const waiter = line.waiting.shift();
      if (waiter === undefined) break;
      if (waiter.end) timeline.clearAlarm(waiter.end);
      gather(queue, waiter, now);
    }
    watchDelayed(queue, line);
  };

  const watchDelayed = (queue: TaskQueue, line: PollLine): void => {
    const next = line.waiting.length > 0 ? queue.nextVisibleAt() : undefined;
    if (next === undefined) {
      if (line.alarm) timeline.clearAlarm(line.alarm);
    } else if (line.alarm) {
      timeline.moveAlarm(line.alarm, next);
    } else {
      line.alarm = timeline.setAlarm(next, (now) => {
        serve(queue, now);
      });
    }
  };

  return {
    hold(queue, count, timeoutMs, now, answer) {
      const line = lineOf(queue);
      if (timeoutMs < 1) {
        const blind = line.waiting.length > 0 || now < line.blindUntil;
        answer(blind ? [] : queue.pop(count, now), now);
        return;
      }
      const waiter: Waiter = { count, answer, end: undefined };
      line.waiting.push(waiter);
      waiter.end = timeline.setAlarm(now + timeoutMs, (end) => {
        line.waiting.splice(line.waiting.indexOf(waiter), 1);
        line.blindUntil = end + EAGER_BLINDNESS_MS;
        watchDelayed(queue, line);
        answer([], end);
      });
      serve(queue, now);
    },
    pushed(queue, now) {
      if (lines.has(queue)) serve(queue, now);
    },
  };
}
