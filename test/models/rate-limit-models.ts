/** A token bucket that holds its tokens as a number: whole micro-tokens, so that nothing is rounded. */
export class TokenBucketModel {
  /** In units of one token / `emissionUs`; one comes back each microsecond. */
  private level: number;
  private at: number;

  constructor(
    private readonly capacity: number,
    private readonly emissionUs: number,
    now: number,
  ) {
    this.level = capacity * emissionUs;
    this.at = now;
  }

  /** @param now in whole microseconds */
  tryTake(cost: number, now: number): boolean {
    this.level = Math.min(this.capacity * this.emissionUs, this.level + (now - this.at));
    this.at = now;
    if (this.level < cost * this.emissionUs) return false;
    this.level -= cost * this.emissionUs;
    return true;
  }
}

/** A sliding window that keeps the instant of each unit that it let in. */
export class SlidingLogModel {
  private log: { at: number; cost: number }[] = [];

  constructor(
    private readonly limit: number,
    private readonly windowMs: number,
  ) {}

  /** Whether so much would fit now, if units were forgotten `lateMs` later than they must be. */
  wouldFit(cost: number, now: number, lateMs = 0): boolean {
    const used = this.log
      .filter(({ at }) => now - at < this.windowMs + lateMs)
      .reduce((sum, entry) => sum + entry.cost, 0);
    return used + cost <= this.limit;
  }

  add(cost: number, now: number): void {
    this.log.push({ at: now, cost });
  }
}
