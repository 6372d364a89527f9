import { US_PER_MS } from '../core/duration.js';
import type {
  CircuitReport,
  CircuitScope,
  CircuitView,
  CircuitProbeRequest,
  CircuitProbeResult,
} from '../core/shared-state.js';

interface Report {
  readonly calls: number;
  readonly failures: number;
  readonly vote: boolean;
  readonly expiresAt: number;
}

/**
 * One circuit of all instances, in whole microseconds on one clock. It opens by votes of those whose own circuit opened:
 * by one where any may, else by a third of them and at least two; or by the failure rate of all together, where no one
 * has more than half of the failures. The script of a store does the same.
 */
export class FleetCircuit {
  private version = 0;
  private isOpen = false;
  private probesFrom = 0;
  private openings = 0;
  private closedAt: number | undefined;
  private readonly reports = new Map<string, Report>();
  private readonly probes = new Map<string, number>();
  /** Whose probes failed. */
  private readonly failing = new Set<string>();
  private ended = { good: 0, bad: 0, slow: 0 };

  sync(owner: string, report: CircuitReport, now: number): CircuitView {
    if (this.version === 0) this.version = Math.max(1, now);
    this.expire(now);
    if (report.version === this.version) {
      if (report.close && this.isOpen) this.close(now);
      else {
        const { calls, failures, vote, ttlMs } = report;
        this.reports.set(owner, { calls, failures, vote, expiresAt: now + ttlMs * US_PER_MS });
        if (!this.isOpen && this.agrees(report)) this.open(report.openMs, now);
        else if (this.isOpen && now >= this.probesFrom && vote) this.fail(owner, report, now);
      }
    }
    return this.view(now);
  }

  probe(
    { version, probe, limit, results, ttlMs }: CircuitProbeRequest,
    now: number,
  ): CircuitView & { granted: boolean } {
    this.expire(now);
    const { probes, ended } = this;
    let granted = probes.has(probe);
    const isHalfOpen = this.isOpen && now >= this.probesFrom && version === this.version;
    const isFull = probes.size >= limit || (results > 0 && probes.size + ended.good + ended.bad >= results);
    if (!granted && isHalfOpen && !isFull) {
      probes.set(probe, now + ttlMs * US_PER_MS);
      granted = true;
    }
    return { ...this.view(now), granted };
  }

  settle(owner: string, result: CircuitProbeResult, now: number): CircuitView {
    this.expire(now);
    const isOurs = result.version === this.version && this.isOpen && this.probes.delete(result.probe);
    if (isOurs && result.outcome !== undefined) this.count(owner, result, result.outcome, now);
    return this.view(now);
  }

  /** A probe failed, or never came back: half-open, that is a vote. */
  private fail(owner: string, { scope, size, openMs }: CircuitReport, now: number): void {
    this.failing.add(owner);
    if (this.failing.size >= quorumOf(scope, Math.max(size, this.reports.size))) this.open(openMs, now);
  }

  private count(
    owner: string,
    rule: CircuitProbeResult,
    outcome: { failed: boolean; slow: boolean },
    now: number,
  ): void {
    const { ended, failing } = this;
    if (outcome.failed) {
      ended.bad++;
      failing.add(owner);
    } else ended.good++;
    if (outcome.slow) ended.slow++;
    const enough = failing.size >= quorumOf(rule.scope, Math.max(rule.size, this.reports.size));
    if (rule.results === 0) {
      if (outcome.failed && enough) this.open(rule.openMs, now);
      else if (ended.good >= rule.successThreshold) this.close(now);
      return;
    }
    const recorded = ended.good + ended.bad;
    if (recorded < rule.results) return;
    const { failureRatePercent, slowCallRatePercent } = rule;
    const failed =
      failureRatePercent === undefined ? ended.bad > 0 : ended.bad * 100 >= failureRatePercent * recorded;
    const slow = slowCallRatePercent !== undefined && ended.slow * 100 >= slowCallRatePercent * recorded;
    if (failed ? enough : slow) this.open(rule.openMs, now);
    // Few have failed: that is their own trouble.
    else if (failed) this.ended = { good: ended.good, bad: 0, slow: 0 };
    else this.close(now);
  }

  private agrees({ scope, size, failureRatePercent, minimumCalls }: CircuitReport): boolean {
    let votes = 0;
    let calls = 0;
    let failures = 0;
    let most = 0;
    for (const report of this.reports.values()) {
      if (report.vote) votes++;
      calls += report.calls;
      failures += report.failures;
      most = Math.max(most, report.failures);
    }
    if (votes >= quorumOf(scope, Math.max(size, this.reports.size))) return true;
    if (failureRatePercent === undefined || calls === 0 || calls < minimumCalls) return false;
    return failures * 100 >= failureRatePercent * calls && most * 2 <= failures;
  }

  private open(openMs: number, now: number): void {
    this.begin(now);
    this.isOpen = true;
    this.openings++;
    this.probesFrom = now + Math.round(openMs * US_PER_MS);
  }

  private close(now: number): void {
    this.begin(now);
    this.isOpen = false;
    this.openings = 0;
    this.closedAt = now;
  }

  /** A new version: what was said under the last one is over. */
  private begin(now: number): void {
    this.version = Math.max(now, this.version + 1);
    this.reports.clear();
    this.probes.clear();
    this.failing.clear();
    this.ended = { good: 0, bad: 0, slow: 0 };
  }

  private expire(now: number): void {
    for (const [owner, { expiresAt }] of this.reports) if (expiresAt <= now) this.reports.delete(owner);
    for (const [probe, expiresAt] of this.probes) if (expiresAt <= now) this.probes.delete(probe);
  }

  private view(now: number): CircuitView {
    const { closedAt } = this;
    return {
      version: this.version,
      open: this.isOpen,
      leftMs: this.isOpen ? (this.probesFrom - now) / US_PER_MS : 0,
      openings: this.openings,
      closedForMs: closedAt === undefined ? undefined : (now - closedAt) / US_PER_MS,
    };
  }
}

function quorumOf(scope: CircuitScope, size: number): number {
  return scope === 'any' || size <= 1 ? 1 : Math.max(2, Math.ceil(size / 3));
}
