/** What lies in an {@link IndexedHeap}; the heap writes its place here, so that removal costs O(log n). */
export interface HeapItem {
  /** -1 while it is in no heap. */
  heapIndex: number;
}

/** A binary heap that can also remove an item from its middle. */
export class IndexedHeap<T extends HeapItem> {
  private readonly items: T[] = [];
  private readonly before: (a: T, b: T) => boolean;

  constructor(before: (a: T, b: T) => boolean) {
    this.before = before;
  }

  get size(): number {
    return this.items.length;
  }

  peek(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    item.heapIndex = this.items.length;
    this.items.push(item);
    this.rise(item);
  }

  pop(): T | undefined {
    const first = this.items[0];
    if (first) this.remove(first);
    return first;
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0 || this.items[index] !== item) return;
    const last = this.items.pop();
    item.heapIndex = -1;
    if (last === undefined || last === item) return;
    this.items[index] = last;
    last.heapIndex = index;
    this.rise(last);
    this.sink(last);
  }

  /** All of them, in no order. */
  values(): readonly T[] {
    return this.items;
  }

  private rise(item: T): void {
    let index = item.heapIndex;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = this.items[parentIndex];
      if (parent === undefined || !this.before(item, parent)) break;
      this.items[index] = parent;
      parent.heapIndex = index;
      index = parentIndex;
    }
    this.items[index] = item;
    item.heapIndex = index;
  }

  private sink(item: T): void {
    let index = item.heapIndex;
    for (;;) {
      const left = this.items[2 * index + 1];
      const right = this.items[2 * index + 2];
      const child = left !== undefined && right !== undefined && this.before(right, left) ? right : left;
      if (child === undefined || !this.before(child, item)) break;
      const childIndex = child.heapIndex;
      this.items[index] = child;
      child.heapIndex = index;
      index = childIndex;
    }
    this.items[index] = item;
    item.heapIndex = index;
  }
}
