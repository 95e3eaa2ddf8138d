import { type HeapItem, IndexedHeap } from "./heap.js";

interface Message extends HeapItem {
  readonly taskId: string;
  readonly priority: number;
  deliverAt: number;
  readonly order: number;
  delayed: boolean;
}

const sooner = (a: Message, b: Message): boolean =>
  a.deliverAt === b.deliverAt ? a.order < b.order : a.deliverAt < b.deliverAt;
const first = (a: Message, b: Message): boolean => (a.priority === b.priority ? sooner(a, b) : a.priority > b.priority);

/** The task ids that wait under one queue name: highest priority first, then the one that has been visible longest. */
export class TaskQueue {
  readonly name: string;
  private readonly messages = new Map<string, Message>();
  private readonly visible = new IndexedHeap<Message>(first);
  private readonly delayed = new IndexedHeap<Message>(sooner);
  private order = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** Delayed ones count, as they do in the SQL queues. */
  get size(): number {
    return this.messages.size;
  }

  /** Puts the task there, or moves it. */
  push(taskId: string, priority: number, deliverAt: number, now: number): void {
    this.remove(taskId);
    const message: Message = {
      taskId,
      priority,
      deliverAt,
      order: this.order++,
      delayed: deliverAt > now,
      heapIndex: -1,
    };
    this.messages.set(taskId, message);
    (message.delayed ? this.delayed : this.visible).push(message);
  }

  remove(taskId: string): void {
    const message = this.messages.get(taskId);
    if (message === undefined) return;
    this.messages.delete(taskId);
    (message.delayed ? this.delayed : this.visible).remove(message);
  }

  /** Takes up to `count` task ids that are visible at `now`. */
  pop(count: number, now: number): string[] {
    this.uncover(now);
    const taskIds: string[] = [];
    while (taskIds.length < count) {
      const message = this.visible.pop();
      if (message === undefined) break;
      this.messages.delete(message.taskId);
      taskIds.push(message.taskId);
    }
    return taskIds;
  }

  hasVisible(now: number): boolean {
    this.uncover(now);
    return this.visible.size > 0;
  }

  /** When the next delayed task becomes visible. */
  nextVisibleAt(): number | undefined {
    return this.delayed.peek()?.deliverAt;
  }

  /** The task that would be delivered first if no delay counted. */
  peekFirst(): string | undefined {
    let best = this.visible.peek();
    for (const message of this.delayed.values()) {
      if (best === undefined || first(message, best)) best = message;
    }
    return best?.taskId;
  }

  private uncover(now: number): void {
    for (;;) {
      const message = this.delayed.peek();
      if (message === undefined || message.deliverAt > now) return;
      this.delayed.pop();
      message.delayed = false;
      this.visible.push(message);
    }
  }
}
