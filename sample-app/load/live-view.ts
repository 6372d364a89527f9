import { percentile, percentOf } from './percentile.js';

export interface LiveNumbers {
  readonly answered: number;
  readonly failed: number;
  readonly durationsMs: readonly number[];
}

const BAR = 30;

/** A line a second: how the last second was. */
export class LiveView {
  private last: LiveNumbers = { answered: 0, failed: 0, durationsMs: [] };

  begin(name: string): void {
    this.last = { answered: 0, failed: 0, durationsMs: [] };
    console.log(`\n${name}`);
  }

  show(phase: string, { answered, failed, durationsMs }: LiveNumbers): void {
    const good = answered - this.last.answered;
    const all = good + failed - this.last.failed;
    const recent = durationsMs.slice(this.last.durationsMs.length).toSorted((one, other) => one - other);
    this.last = { answered, failed, durationsMs: [...durationsMs] };
    const filled = all === 0 ? 0 : Math.round((good / all) * BAR);
    const bar = '█'.repeat(filled) + '░'.repeat(BAR - filled);
    const p99 = recent.length === 0 ? '–' : `${Math.round(percentile(recent, 99))} ms`;
    console.log(
      `  ${phase.padEnd(18)} ${bar} ${percentOf(good, all).padStart(8)} of ${String(all).padStart(4)} answered, p99 ${p99}`,
    );
  }

  end({ answered, failed }: LiveNumbers): void {
    console.log(`  ${answered} answered, ${failed} not`);
  }
}
