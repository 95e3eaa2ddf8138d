import type { Clock, Timer } from "../../base/clock.js";
import { type HeapItem, IndexedHeap } from "./heap.js";

/** Something that happens at a time; set by {@link Timeline.setAlarm}. */
export interface Alarm extends HeapItem {
  dueAt: number;
  readonly order: number;
  readonly callback: (now: number) => void;
}

/**
 * The server's time: the clock it was given plus what `advance()` has added. Every wait of the server is an alarm here,
 * and one timer of the clock stands for the earliest of them.
 */
export class Timeline {
  private readonly clock: Clock;
  private readonly alarms = new IndexedHeap<Alarm>((a, b) =>
    a.dueAt === b.dueAt ? a.order < b.order : a.dueAt < b.dueAt,
  );
  private readonly origin: number;
  private offsetMs = 0;
  private order = 0;
  private timer: Timer;
  private timerDueAt = Infinity;
  private closed = false;

  constructor(clock: Clock) {
    this.clock = clock;
    this.origin = clock.wallNow() - clock.now();
  }

  /** Whole milliseconds since the epoch. Never goes back. */
  now(): number {
    return Math.floor(this.origin + this.clock.now() + this.offsetMs);
  }

  setAlarm(dueAt: number, callback: (now: number) => void): Alarm {
    const alarm: Alarm = { dueAt, callback, order: this.order++, heapIndex: -1 };
    if (this.closed) return alarm;
    this.alarms.push(alarm);
    this.arm();
    return alarm;
  }

  moveAlarm(alarm: Alarm, dueAt: number): void {
    if (this.closed || (alarm.dueAt === dueAt && alarm.heapIndex >= 0)) return;
    this.alarms.remove(alarm);
    alarm.dueAt = dueAt;
    this.alarms.push(alarm);
    this.arm();
  }

  clearAlarm(alarm: Alarm): void {
    this.alarms.remove(alarm);
  }

  /** Turns the clock on by `ms`; what falls due on the way happens in its order, each at its own time. */
  advance(ms: number): void {
    const target = this.now() + ms;
    for (;;) {
      const next = this.alarms.peek();
      if (next === undefined || next.dueAt > target) break;
      this.turnTo(next.dueAt);
      this.alarms.pop();
      next.callback(Math.max(next.dueAt, this.now()));
    }
    this.turnTo(target);
    // The armed alarm may be among those that have gone off: its timer would come at its old time only.
    this.disarm();
    this.arm();
  }

  /** No alarm rings after this. */
  close(): void {
    this.closed = true;
    while (this.alarms.pop() !== undefined);
    this.disarm();
  }

  private turnTo(time: number): void {
    const missing = time - this.now();
    if (missing > 0) this.offsetMs += missing;
  }

  private arm(): void {
    const next = this.alarms.peek();
    if (this.closed || next === undefined || next.dueAt >= this.timerDueAt) return;
    this.disarm();
    this.timerDueAt = next.dueAt;
    this.timer = this.clock.setTimer(() => {
      this.timerDueAt = Infinity;
      this.ring();
    }, next.dueAt - this.now());
    // Only the listening socket keeps a process alive.
    (this.timer as { unref?: () => unknown } | undefined)?.unref?.();
  }

  private disarm(): void {
    if (this.timerDueAt !== Infinity) this.clock.clearTimer(this.timer);
    this.timerDueAt = Infinity;
  }

  private ring(): void {
    for (;;) {
      const now = this.now();
      const next = this.alarms.peek();
      if (next === undefined || next.dueAt > now) break;
      this.alarms.pop();
      next.callback(now);
    }
    this.arm();
  }
}
