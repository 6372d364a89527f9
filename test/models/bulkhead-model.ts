export interface BulkheadRules {
  readonly maxConcurrent: number;
  readonly maxQueue: number;
  readonly maxWait: number;
  readonly aging: number | undefined;
}

interface Waiting {
  readonly id: number;
  readonly priority: number;
  readonly since: number;
}

/** A bulkhead that searches its whole queue each time. */
export class BulkheadModel {
  /** Calls that hold a slot. */
  readonly running: number[] = [];
  /** In the order in which they came. */
  queue: Waiting[] = [];
  /** Calls that left without a slot. */
  readonly refused: number[] = [];
  private limit: number;

  constructor(private readonly rules: BulkheadRules) {
    this.limit = rules.maxConcurrent;
  }

  enter(id: number, priority: number, now: number): void {
    if (this.running.length < this.limit) this.running.push(id);
    else if (this.limit === 0) this.refused.push(id);
    else {
      if (this.queue.length >= this.rules.maxQueue) {
        const victim = this.victimOf(priority, now);
        if (victim === undefined) {
          this.refused.push(id);
          return;
        }
        this.leave(victim.id);
      }
      this.queue.push({ id, priority, since: now });
    }
  }

  /** A method has settled, or a granted call has found itself aborted. */
  release(id: number, now: number): void {
    this.running.splice(this.running.indexOf(id), 1);
    this.start(now);
  }

  /** A waiting call is aborted. */
  leave(id: number): void {
    this.queue = this.queue.filter((waiting) => waiting.id !== id);
    this.refused.push(id);
  }

  expire(now: number): void {
    for (const { id, since } of this.queue) if (since + this.rules.maxWait <= now) this.leave(id);
  }

  setLimit(limit: number, now: number): void {
    this.limit = limit;
    this.start(now);
  }

  private start(now: number): void {
    while (this.running.length < this.limit && this.queue.length > 0) {
      const [next] = this.queue.toSorted(
        (a, b) =>
          this.effective(a, now) - this.effective(b, now) || a.since - b.since || a.priority - b.priority,
      );
      this.queue = this.queue.filter((waiting) => waiting !== next);
      this.running.push((next as Waiting).id);
    }
  }

  /** Who gives way: the youngest of the lowest priority, where that is lower than the newcomer's. */
  private victimOf(priority: number, now: number): Waiting | undefined {
    return this.queue
      .filter((waiting) => this.effective(waiting, now) > priority)
      .toSorted(
        (a, b) =>
          this.effective(b, now) - this.effective(a, now) ||
          b.priority - a.priority ||
          b.since - a.since ||
          b.id - a.id,
      )[0];
  }

  private effective({ priority, since }: Waiting, now: number): number {
    if (this.rules.aging === undefined) return priority;
    return Math.max(0, priority - Math.floor((now - since) / this.rules.aging));
  }
}
