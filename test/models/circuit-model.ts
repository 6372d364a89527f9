/** What the model knows of a breaker's options. */
export interface CircuitRules {
  readonly failureThreshold: number | undefined;
  readonly failureRatePercent: number | undefined;
  readonly minimumCalls: number;
  readonly window: { readonly calls: number } | { readonly duration: number } | undefined;
  readonly openDuration: number;
  readonly successThreshold: number;
  readonly halfOpenMaxCalls: number;
  readonly halfOpenMaxDuration: number;
}

export interface Ticket {
  readonly epoch: number;
  readonly at: number;
}

interface Recorded {
  readonly at: number;
  readonly failed: boolean;
}

/** Into how many parts a time window is cut. */
const SLICES = 20;

/** A circuit breaker that keeps every call in a list and counts anew each time. */
export class CircuitModel {
  private current: 'closed' | 'open' | 'half-open' = 'closed';
  /** Goes up with each transition; what was let in before is stale. */
  private epoch = 0;
  private log: Recorded[] = [];
  private openUntil = 0;
  private probesOut: Ticket[] = [];
  private probesDone: boolean[] = [];

  constructor(private readonly rules: CircuitRules) {}

  state(now: number): string {
    this.catchUp(now);
    return this.current;
  }

  /** Lets a call in, or answers undefined. */
  begin(now: number): Ticket | undefined {
    this.catchUp(now);
    const ticket = { epoch: this.epoch, at: now };
    if (this.current === 'closed') return ticket;
    if (this.current === 'open') return undefined;
    const { failureRatePercent, minimumCalls, halfOpenMaxCalls } = this.rules;
    if (this.probesOut.length >= halfOpenMaxCalls) return undefined;
    const inRateMode = failureRatePercent !== undefined;
    const decidesAt = Math.min(minimumCalls, halfOpenMaxCalls);
    if (inRateMode && this.probesOut.length + this.probesDone.length >= decidesAt) return undefined;
    this.probesOut.push(ticket);
    return ticket;
  }

  end(ticket: Ticket, outcome: 'success' | 'failure' | 'ignored', now: number): void {
    this.catchUp(now);
    if (ticket.epoch !== this.epoch) return;
    if (this.current === 'half-open') {
      this.probesOut.splice(this.probesOut.indexOf(ticket), 1);
      if (outcome === 'ignored') return;
      this.probesDone.push(outcome === 'failure');
      this.judgeProbes(now);
    } else if (outcome !== 'ignored') {
      this.log.push({ at: now, failed: outcome === 'failure' });
      if (this.isExceeded(now)) this.open(now);
    }
  }

  close(): void {
    this.go('closed');
  }

  /** The calls that the window holds. */
  private held(now: number): readonly Recorded[] {
    const { window } = this.rules;
    if (window === undefined) return this.log.slice(this.log.findLastIndex(({ failed }) => !failed) + 1);
    if ('calls' in window) return this.log.slice(-window.calls);
    const slice = (at: number) => Math.floor(at / (window.duration / SLICES));
    return this.log.filter(({ at }) => slice(at) > slice(now) - SLICES);
  }

  private isExceeded(now: number): boolean {
    const { failureThreshold, failureRatePercent, minimumCalls } = this.rules;
    const held = this.held(now);
    const failures = held.filter(({ failed }) => failed).length;
    if (held.length < minimumCalls) return false;
    if (failureThreshold !== undefined && failures >= failureThreshold) return true;
    return failureRatePercent !== undefined && failures * 100 >= failureRatePercent * held.length;
  }

  private judgeProbes(now: number): void {
    const { failureRatePercent, minimumCalls, halfOpenMaxCalls, successThreshold } = this.rules;
    const failures = this.probesDone.filter((failed) => failed).length;
    if (failureRatePercent === undefined) {
      if (failures > 0) this.open(now);
      else if (this.probesDone.length === successThreshold) this.go('closed');
    } else if (this.probesDone.length === Math.min(minimumCalls, halfOpenMaxCalls)) {
      if (failures * 100 >= failureRatePercent * this.probesDone.length) this.open(now);
      else this.go('closed');
    }
  }

  private catchUp(now: number): void {
    for (;;) {
      if (this.current === 'open' && now >= this.openUntil) this.go('half-open');
      const oldest = this.probesOut[0];
      if (oldest === undefined || now < oldest.at + this.rules.halfOpenMaxDuration) return;
      this.open(oldest.at + this.rules.halfOpenMaxDuration);
    }
  }

  private open(at: number): void {
    this.go('open');
    this.openUntil = at + this.rules.openDuration;
  }

  private go(state: 'closed' | 'open' | 'half-open'): void {
    this.current = state;
    this.epoch++;
    this.log = [];
    this.probesOut = [];
    this.probesDone = [];
  }
}
