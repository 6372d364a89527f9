/** Totals as a counter shows them: they never go down, whatever becomes of the numbers that they are read from. */
export class RisingTotals {
  private readonly totals = new Map<string, { before: number; shown: number }>();

  /** What to show for a number that is `value` now. A call that was let in and taken back lowers nothing. */
  rise(id: string, value: number): number {
    const total = this.of(id);
    total.shown = Math.max(total.shown, total.before + value);
    return total.shown;
  }

  /** The number is `value` now, and begins anew at 0. */
  restart(id: string, value: number): void {
    this.of(id).before += value;
  }

  private of(id: string): { before: number; shown: number } {
    let total = this.totals.get(id);
    if (total === undefined) this.totals.set(id, (total = { before: 0, shown: 0 }));
    return total;
  }
}
