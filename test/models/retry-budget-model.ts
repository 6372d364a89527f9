/** A retry budget that keeps the instant of every retry, and looks at all of them. */
export class CountBudgetModel {
  private takenAt: number[] = [];
  private lastAt = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly max: number,
    private readonly windowMs: number,
    private readonly minIntervalMs: number,
  ) {}

  tryTake(now: number): boolean {
    this.takenAt = this.takenAt.filter((at) => now - at < this.windowMs);
    if (this.takenAt.length >= this.max || now - this.lastAt < this.minIntervalMs) return false;
    this.takenAt.push(now);
    this.lastAt = now;
    return true;
  }
}

/** A share of the calls, and a floor, over the ten slices of a window. */
export class ShareBudgetModel {
  private readonly calls: number[] = [];
  private readonly retries: number[] = [];

  constructor(
    private readonly percent: number,
    private readonly minPerSecond: number,
    private readonly windowMs: number,
  ) {}

  deposit(now: number): void {
    this.calls.push(now);
  }

  tryTake(now: number): boolean {
    const slice = (at: number) => Math.floor(at / (this.windowMs / 10));
    const held = (log: readonly number[]) => log.filter((at) => slice(at) > slice(now) - 10).length;
    const floor = (this.minPerSecond * this.windowMs) / 1_000;
    if (held(this.retries) + 1 > (held(this.calls) * this.percent) / 100 + floor + 1e-9) return false;
    this.retries.push(now);
    return true;
  }
}
