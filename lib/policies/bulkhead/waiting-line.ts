import { type Call, Priority } from '../../core/call.js';
import { PermitWait } from '../../core/permit-wait.js';

const PRIORITIES = Priority.BACKGROUND + 1;

/** A call that waits for a slot; its own list node. */
export class Waiter<P> extends PermitWait<P> {
  before: Waiter<P> | undefined = undefined;
  after: Waiter<P> | undefined = undefined;
  /** Whether it is still in the line. */
  waiting = true;
  override keepAlive = true;

  constructor(
    call: Call,
    readonly priority: Priority,
    readonly since: number,
    private readonly left: (waiter: Waiter<P>, why: 'waited' | 'aborted') => void,
  ) {
    super(call);
  }

  onDue(): void {
    if (this.waiting) this.left(this, 'waited');
  }

  onAbort(): void {
    if (this.waiting) this.left(this, 'aborted');
  }
}

/**
 * Who waits, by priority, first in first out within one. One linked list per priority makes insert, take and leave O(1)
 * at any length. With aging a waiter counts as one priority higher for each `agingMs` it has waited, and among equals
 * the longest waiting goes first, so that nobody waits for ever.
 */
export class WaitingLine<P> {
  size = 0;
  private readonly heads: (Waiter<P> | undefined)[] = new Array<undefined>(PRIORITIES).fill(undefined);
  private readonly tails: (Waiter<P> | undefined)[] = new Array<undefined>(PRIORITIES).fill(undefined);

  add(waiter: Waiter<P>): void {
    const tail = this.tails[waiter.priority];
    waiter.before = tail;
    if (tail === undefined) this.heads[waiter.priority] = waiter;
    else tail.after = waiter;
    this.tails[waiter.priority] = waiter;
    this.size++;
  }

  remove(waiter: Waiter<P>): void {
    const { before, after } = waiter;
    if (before === undefined) this.heads[waiter.priority] = after;
    else before.after = after;
    if (after === undefined) this.tails[waiter.priority] = before;
    else after.before = before;
    waiter.before = waiter.after = undefined;
    waiter.waiting = false;
    this.size--;
  }

  /** Who goes next. */
  first(now: number, agingMs: number | undefined): Waiter<P> | undefined {
    let best: Waiter<P> | undefined;
    let bestPriority = Number.POSITIVE_INFINITY;
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const head = this.heads[priority];
      if (head === undefined) continue;
      if (agingMs === undefined) return head;
      const effective = effectivePriority(head, now, agingMs);
      if (
        effective < bestPriority ||
        (effective === bestPriority && head.since < (best as Waiter<P>).since)
      ) {
        best = head;
        bestPriority = effective;
      }
    }
    return best;
  }

  /** Who goes where there are too many: the last of the lowest priority. */
  last(now: number, agingMs: number | undefined): Waiter<P> | undefined {
    return this.lastBelow(Priority.CRITICAL - 1, now, agingMs);
  }

  /** Who gives way to a newcomer of `priority`: the last of the lowest priority, if that is lower. */
  lastBelow(priority: number, now: number, agingMs: number | undefined): Waiter<P> | undefined {
    let last: Waiter<P> | undefined;
    let lowest = priority;
    for (let given = PRIORITIES - 1; given > priority; given--) {
      const tail = this.tails[given];
      if (tail === undefined) continue;
      if (agingMs === undefined) return tail;
      const effective = effectivePriority(tail, now, agingMs);
      if (effective > lowest) {
        last = tail;
        lowest = effective;
      }
    }
    return last;
  }

  /** How many wait, by priority. */
  countByPriority(): Record<keyof typeof Priority, number> {
    const counts = { CRITICAL: 0, HIGH: 0, NORMAL: 0, LOW: 0, BACKGROUND: 0 };
    for (let priority = 0; priority < PRIORITIES; priority++) {
      const name = Priority[priority] as keyof typeof Priority;
      for (let waiter = this.heads[priority]; waiter !== undefined; waiter = waiter.after) counts[name]++;
    }
    return counts;
  }
}

function effectivePriority(
  waiter: { readonly priority: Priority; readonly since: number },
  now: number,
  agingMs: number,
): number {
  return Math.max(0, waiter.priority - Math.floor((now - waiter.since) / agingMs));
}
