/** What can be in one {@link LinkedList} at a time: its neighbours there. Only the list sets them. */
export interface Linked<T> {
  previous: T | undefined;
  next: T | undefined;
}

/**
 * In order, each removed in one step, and nothing of it is left behind.
 *
 * For what comes and goes with every request. A `Set` or `Map` makes itself a new store as often as removals have filled
 * the old one, and V8 links the old store to the new. Once one of them has come to be old, all later ones, with everything
 * that was in them, are kept until the next major collection: half of all tasks and more, for nothing.
 */
export class LinkedList<T extends Linked<T>> {
  #first: T | undefined = undefined;
  #last: T | undefined = undefined;

  get first(): T | undefined {
    return this.#first;
  }

  append(item: T): void {
    item.previous = this.#last;
    if (this.#last === undefined) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
  }

  prepend(item: T): void {
    item.next = this.#first;
    if (this.#first === undefined) this.#last = item;
    else this.#first.previous = item;
    this.#first = item;
  }

  /** False: it is in no list. */
  remove(item: T): boolean {
    const { previous, next } = item;
    if (previous === undefined && this.#first !== item) return false;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    item.previous = undefined;
    item.next = undefined;
    return true;
  }

  toArray(): T[] {
    const items: T[] = [];
    for (let item = this.#first; item !== undefined; item = item.next) items.push(item);
    return items;
  }
}
