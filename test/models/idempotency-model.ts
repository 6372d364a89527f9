export interface IdempotencyRules {
  readonly ttl: number;
  readonly maxRecords: number;
}

/** What a call comes to: a run of its own, what an earlier run returned, or a refusal. */
type Answer = 'runs' | 'conflict' | 'mismatch' | { readonly replayOf: number };

interface Run {
  readonly id: number;
  readonly key: string;
  readonly args: number;
}

/** Idempotency that keeps every run in a list and looks through all of them. */
export class IdempotencyModel {
  readonly running: Run[] = [];
  private finished: (Run & { readonly expiresAt: number })[] = [];

  constructor(private readonly rules: IdempotencyRules) {}

  call(id: number, key: string, args: number, now: number): Answer {
    const running = this.running.find((run) => run.key === key);
    if (running !== undefined) return running.args === args ? 'conflict' : 'mismatch';
    this.expire(now);
    const done = this.finished.find((run) => run.key === key);
    if (done === undefined) {
      this.running.push({ id, key, args });
      return 'runs';
    }
    return done.args === args ? { replayOf: done.id } : 'mismatch';
  }

  settle(run: Run, ok: boolean, now: number): void {
    this.running.splice(this.running.indexOf(run), 1);
    if (!ok) return;
    this.expire(now);
    this.finished.push({ ...run, expiresAt: now + this.rules.ttl });
    this.finished = this.finished.slice(-this.rules.maxRecords);
  }

  records(now: number): number {
    this.expire(now);
    return this.finished.length;
  }

  private expire(now: number): void {
    this.finished = this.finished.filter(({ expiresAt }) => expiresAt > now);
  }
}
