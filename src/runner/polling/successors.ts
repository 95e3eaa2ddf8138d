/** How long after an acknowledgement a task of the same workflow counts as its successor, in ms. */
const FOLLOWS_WITHIN_MS = 2_000;
/** A successor is followed when it came at least this often, as a share, and following must find something as often. */
const MIN_SHARE = 0.2;
/** How often following may be in vain before its share counts. */
const MIN_FOLLOWS = 10;
/** Acknowledgements after which the past counts half, so that what changes is learned again. */
const MEMORY = 64;
/** Workflows whose last acknowledgement is remembered. */
const MAX_WORKFLOWS = 2_000;

interface Successor {
  /** How often it came after an acknowledgement. */
  came: number;
  follows: number;
  hits: number;
}

interface Past {
  acknowledged: number;
  readonly successors: Map<string, Successor>;
}

/**
 * Learns which task types usually come next in a workflow after an acknowledged task of a type: the server schedules
 * them inside the update, so whoever sweeps at once finds them at once. Bounded, and given up where following does not pay.
 */
export class Successors {
  readonly #past = new Map<string, Past>();
  /** The last acknowledged task of each workflow, oldest first. */
  readonly #last = new Map<string, { readonly taskType: string; readonly at: number }>();

  /** A result was acknowledged. Returns the task types worth following now. */
  acknowledged(workflowInstanceId: string, taskType: string, now: number): readonly string[] {
    this.#remember(workflowInstanceId, taskType, now);
    const past = this.#pastOf(taskType);
    past.acknowledged += 1;
    if (past.acknowledged > MEMORY) halve(past);
    if (past.successors.size === 0) return NOBODY;
    const worth: string[] = [];
    for (const [next, { came, follows, hits }] of past.successors) {
      const pays = follows < MIN_FOLLOWS || hits >= follows * MIN_SHARE;
      if (pays && came >= Math.max(2, past.acknowledged * MIN_SHARE)) worth.push(next);
    }
    return worth;
  }

  /** A task was handed out. */
  arrived(workflowInstanceId: string, taskType: string, now: number): void {
    const last = this.#last.get(workflowInstanceId);
    if (last === undefined || now - last.at > FOLLOWS_WITHIN_MS) return;
    this.#successorOf(last.taskType, taskType).came += 1;
  }

  /** A sweep after an acknowledgement of `taskType` found a task of `next`, or none. */
  followed(taskType: string, next: string, found: boolean): void {
    const successor = this.#successorOf(taskType, next);
    successor.follows += 1;
    if (found) successor.hits += 1;
  }

  #remember(workflowInstanceId: string, taskType: string, at: number): void {
    this.#last.delete(workflowInstanceId);
    if (this.#last.size >= MAX_WORKFLOWS) {
      const [oldest] = this.#last.keys();
      if (oldest !== undefined) this.#last.delete(oldest);
    }
    this.#last.set(workflowInstanceId, { taskType, at });
  }

  #pastOf(taskType: string): Past {
    let past = this.#past.get(taskType);
    if (past === undefined) this.#past.set(taskType, (past = { acknowledged: 0, successors: new Map() }));
    return past;
  }

  #successorOf(taskType: string, next: string): Successor {
    const { successors } = this.#pastOf(taskType);
    let successor = successors.get(next);
    if (successor === undefined) successors.set(next, (successor = { came: 0, follows: 0, hits: 0 }));
    return successor;
  }
}

const NOBODY: readonly string[] = [];

function halve(past: Past): void {
  past.acknowledged /= 2;
  for (const [next, successor] of past.successors) {
    successor.came /= 2;
    successor.follows /= 2;
    successor.hits /= 2;
    if (successor.came < 0.5) past.successors.delete(next);
  }
}
