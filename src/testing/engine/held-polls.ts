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

interface Lane {
  readonly waiting: Waiter[];
  /** Until then a poll that does not wait sees nothing. */
  blindUntil: number;
  /** Rings when the next delayed task becomes visible. */
  alarm: Alarm | undefined;
}

function createEagerPolling(timeline: Timeline): Polling {
  const lanes = new Map<TaskQueue, Lane>();
  const laneOf = (queue: TaskQueue): Lane => {
    let lane = lanes.get(queue);
    if (lane === undefined) {
      lane = { waiting: [], blindUntil: 0, alarm: undefined };
      lanes.set(queue, lane);
    }
    return lane;
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
    const lane = laneOf(queue);
    while (lane.waiting.length > 0 && queue.hasVisible(now)) {
      const waiter = lane.waiting.shift();
      if (waiter === undefined) break;
      if (waiter.end) timeline.clearAlarm(waiter.end);
      gather(queue, waiter, now);
    }
    watchDelayed(queue, lane);
  };

  const watchDelayed = (queue: TaskQueue, lane: Lane): void => {
    const next = lane.waiting.length > 0 ? queue.nextVisibleAt() : undefined;
    if (next === undefined) {
      if (lane.alarm) timeline.clearAlarm(lane.alarm);
    } else if (lane.alarm) {
      timeline.moveAlarm(lane.alarm, next);
    } else {
      lane.alarm = timeline.setAlarm(next, (now) => {
        serve(queue, now);
      });
    }
  };

  return {
    hold(queue, count, timeoutMs, now, answer) {
      const lane = laneOf(queue);
      if (timeoutMs < 1) {
        const blind = lane.waiting.length > 0 || now < lane.blindUntil;
        answer(blind ? [] : queue.pop(count, now), now);
        return;
      }
      const waiter: Waiter = { count, answer, end: undefined };
      lane.waiting.push(waiter);
      waiter.end = timeline.setAlarm(now + timeoutMs, (end) => {
        lane.waiting.splice(lane.waiting.indexOf(waiter), 1);
        lane.blindUntil = end + EAGER_BLINDNESS_MS;
        watchDelayed(queue, lane);
        answer([], end);
      });
      serve(queue, now);
    },
    pushed(queue, now) {
      if (lanes.has(queue)) serve(queue, now);
    },
  };
}
