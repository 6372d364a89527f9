import type { Call } from '../../core/call.js';
import { jittered, type Clock, type RandomSource } from '../../core/clock.js';
import { PermitWait } from '../../core/permit-wait.js';
import type {
  CircuitProbeResult,
  CircuitReport,
  CircuitScope,
  CircuitView,
  Fleet,
  StateKey,
} from '../../core/shared-state.js';
import { TimerEntry } from '../../core/timer-entry.js';
import type { CircuitSettings } from './circuit-breaker.options.js';
import type { CircuitState } from './circuit-state.js';
import type { Admission, Circuit, CircuitGuide, SharedCircuitStats } from './circuit.js';
import { FAILED, SLOW } from './sliding-window.js';

const SYNC_MS = 500;
/** Sync intervals differ by so much, so that instances do not speak together. */
const SYNC_JITTER = 0.2;
/** A report is good for several intervals. */
const REPORT_SYNCS = 4;
const REPORT_MS = REPORT_SYNCS * SYNC_MS;
/** How long nobody asks for a probe after there was none. */
const FULL_MS = 50;
/** A keyed circuit that nobody has called for so long says nothing more. */
const QUIET_MS = 60_000;
/** How often the store is told how a probe ended. */
const SETTLE_TRIES = 4;
/** Between two tries the others may have opened it anew. */
const CLOSE_TRIES = 3;
/** After all have closed: how many of 100 calls pass, a step per second. */
const RAMP_PERCENT = [10, 25, 50];
const RAMP_STEP_MS = 1_000;

const MANUAL: ReadonlySet<CircuitState> = new Set(['forced-open', 'disabled', 'meter-only']);

/** A probe of all; or that there is none to be had, or that the store is lost. */
type ProbeAnswer = Admission['fleetProbe'] | 'full' | 'alone';

/** A probe that the store is told of. */
interface EndedProbe {
  readonly probe: string;
  readonly version: number;
  readonly outcome: CircuitProbeResult['outcome'];
  triesLeft: number;
}

/** What a shared circuit needs of its policy. */
export interface SharedCircuitOwner {
  /** Those in force. */
  settings(): CircuitSettings;
  refusal(circuit: Circuit): Error;
}

/**
 * One instance's part in the circuit of all: it says what its own circuit sees, every half second and at once when that
 * opens; it opens when all do; then probes are shared out among all, and their results decide. While the store is lost
 * its own circuit decides alone.
 */
export class SharedCircuit extends TimerEntry implements CircuitGuide {
  private version = 0;
  private openings = 0;
  /** Whether its state is that of all instances, open or half-open. */
  private followed = false;
  /** Whether the store says so, and is there to share out the probes. */
  private openForAll = false;
  /** Whether it has opened by what it saw itself. */
  private tripped = false;
  /** Whether the change under way is one that all have made. */
  private following = false;
  /** How often it still asks all to close. */
  private closing = 0;
  private syncing: Promise<void> | undefined;
  private syncAgain = false;
  /** Reports in a row that did not come through. */
  private missed = 0;
  private probes = 0;
  /** Questions for a probe that are under way. */
  private asking = 0;
  private fullUntil = Number.NEGATIVE_INFINITY;
  /** Probes whose end did not come through. */
  private untold: EndedProbe[] = [];
  private usedAt: number;
  private rampFrom = Number.NEGATIVE_INFINITY;
  private rampCredit = 0;
  private isOver = false;

  constructor(
    private readonly circuit: Circuit,
    private readonly scope: CircuitScope,
    private readonly fleet: Fleet,
    private readonly key: StateKey,
    private readonly clock: Clock,
    private readonly random: RandomSource,
    private readonly owner: SharedCircuitOwner,
  ) {
    super();
    this.usedAt = clock.now();
    circuit.guide = this;
    this.arm(clock.now());
  }

  enter(call: Call): Admission | PermitWait<Admission> {
    const { circuit } = this;
    const now = this.clock.now();
    this.usedAt = now;
    // It has been quiet.
    if (Number.isNaN(this.dueAt) && this.syncing === undefined) void this.sync();
    if (circuit.isGuidedHalfOpen) {
      const isFull = now < this.fullUntil || this.asking >= this.owner.settings().halfOpenMaxCalls;
      if (isFull) throw this.owner.refusal(circuit);
      return new ProbeWait(call, this, call.remainingMs(now));
    }
    if (!this.rampLets()) throw this.owner.refusal(circuit);
    return circuit.admit();
  }

  get admittedPercent(): number {
    if (this.circuit.state !== 'closed') return 100;
    return RAMP_PERCENT[Math.max(0, Math.floor(this.closedForMs() / RAMP_STEP_MS))] ?? 100;
  }

  retryAfterMs(): number {
    return RAMP_STEP_MS - (this.closedForMs() % RAMP_STEP_MS);
  }

  settled({ fleetProbe }: Admission, flags: number | undefined): void {
    if (fleetProbe !== undefined) void this.settle(fleetProbe.probe, fleetProbe.version, flags);
  }

  closeForAll(): void {
    this.closing = CLOSE_TRIES;
    this.tripped = false;
    this.rampFrom = Number.NEGATIVE_INFINITY;
    void this.sync();
  }

  changed(to: CircuitState): void {
    if (this.following) return;
    if (to === 'half-open') {
      // Where it is open for all, its probes are theirs, whoever opened it.
      if (!this.openForAll) return;
      this.circuit.followAgain();
      this.followed = true;
      this.tripped = false;
      return;
    }
    this.followed = false;
    this.tripped = to === 'open';
    if (this.tripped) void this.sync();
  }

  stats(): SharedCircuitStats {
    return {
      scope: this.scope,
      openForAll: this.followed,
      admittedPercent: this.admittedPercent,
    };
  }

  stop(): void {
    this.isOver = true;
    this.untold = [];
    this.clock.disarm(this);
    this.circuit.goAlone();
    this.circuit.guide = undefined;
  }

  onDue(): void {
    void this.sync();
  }

  /** Asks for one of the probes of all, for a call that has so long. Never rejects. */
  async probe(remainingMs: number | undefined): Promise<ProbeAnswer> {
    const settings = this.owner.settings();
    const { version } = this;
    const probe = `${this.random().toString(36).slice(2)}:${++this.probes}`;
    this.asking++;
    try {
      const request = {
        version,
        probe,
        limit: settings.halfOpenMaxCalls,
        results: resultsOf(settings),
        ttlMs: settings.halfOpenMaxDurationMs(this.openings),
      };
      const view = await this.fleet.state.circuit.probe(this.key, request, remainingMs);
      this.hear(view, version);
      if (view.granted) return { probe, version };
    } catch {
      // The answer may have been late, and the permit given.
      this.tellLater({ probe, version, outcome: undefined, triesLeft: SETTLE_TRIES });
      if (this.isStoreLost) {
        this.lose();
        return 'alone';
      }
    } finally {
      this.asking--;
    }
    this.fullUntil = this.clock.now() + FULL_MS;
    return 'full';
  }

  /** The store has answered a call that waits: lets it in, or says why not. */
  admit(answer: ProbeAnswer): Admission | undefined {
    const { circuit } = this;
    if (circuit.refuses() || (answer === 'full' && circuit.isGuidedHalfOpen)) {
      this.giveBack(answer);
      return undefined;
    }
    const admission = circuit.admit();
    if (typeof answer === 'object' && admission.probe) admission.fleetProbe = answer;
    else this.giveBack(answer);
    return admission;
  }

  /** Nobody uses the permit that came. */
  giveBack(answer: ProbeAnswer): void {
    if (typeof answer === 'object') void this.settle(answer.probe, answer.version, undefined);
  }

  refusal(): Error {
    return this.owner.refusal(this.circuit);
  }

  private async settle(probe: string, version: number, flags: number | undefined): Promise<void> {
    const failed = flags !== undefined && (flags & FAILED) !== 0;
    const outcome = flags === undefined ? undefined : { failed, slow: (flags & SLOW) !== 0 };
    await this.tell({ probe, version, outcome, triesLeft: SETTLE_TRIES });
    const { rateMode } = this.owner.settings();
    // The others go on probing; here it failed.
    if (failed && !rateMode && this.version === version && this.circuit.isGuidedHalfOpen) {
      this.circuit.set('open', 'a half-open probe failed');
    }
  }

  /** Never rejects. */
  private async tell(ended: EndedProbe): Promise<void> {
    ended.triesLeft--;
    try {
      this.hear(await this.fleet.state.circuit.settle(this.key, this.resultOf(ended)), ended.version);
      this.fullUntil = Number.NEGATIVE_INFINITY;
    } catch {
      this.tellLater(ended);
      if (this.isStoreLost) this.lose();
    }
  }

  /** Once a report has come through again. */
  private tellLater(ended: EndedProbe): void {
    if (ended.triesLeft > 0 && !this.isOver) this.untold.push(ended);
  }

  private tellAgain(): void {
    const { untold } = this;
    this.untold = [];
    // Under another version it changes nothing.
    for (const ended of untold) if (ended.version === this.version) void this.tell(ended);
  }

  private resultOf({ probe, version, outcome }: EndedProbe): CircuitProbeResult {
    const settings = this.owner.settings();
    return {
      version,
      probe,
      outcome,
      successThreshold: settings.successThreshold,
      results: resultsOf(settings),
      failureRatePercent: settings.failureRatePercent,
      slowCallRatePercent: settings.slowCallRatePercent,
      scope: this.scope,
      size: this.fleet.size,
      openMs: settings.openDuration(this.openings + 1),
    };
  }

  /** Says what is seen here, and hears how things are for all; one at a time. Never rejects. */
  private sync(): Promise<void> {
    this.clock.disarm(this);
    // What an operator has closed is still said.
    if (this.isOver && this.closing === 0) return Promise.resolve();
    if (this.syncing !== undefined) {
      this.syncAgain = true;
      return this.syncing;
    }
    this.syncing = this.speak().finally(() => {
      this.syncing = undefined;
      const again = this.syncAgain;
      this.syncAgain = false;
      if (again) void this.sync();
      else this.arm(this.clock.now());
    });
    return this.syncing;
  }

  private async speak(): Promise<void> {
    const { closing, version } = this;
    try {
      const view = await this.fleet.state.circuit.sync(this.key, this.report());
      if (closing > 0) this.closing = view.open ? closing - 1 : 0;
      if (this.closing > 0) this.syncAgain = true;
      this.missed = 0;
      this.hear(view, version);
      this.tellAgain();
    } catch {
      this.missed++;
      if (this.isStoreLost) this.lose();
    }
  }

  private report(): CircuitReport {
    const { circuit } = this;
    const settings = this.owner.settings();
    const closed = circuit.state === 'closed';
    return {
      version: this.version,
      calls: closed ? circuit.calls : 0,
      failures: closed ? circuit.failures : 0,
      vote: this.tripped,
      close: this.closing > 0,
      ttlMs: REPORT_MS,
      scope: this.scope,
      size: this.fleet.size,
      failureRatePercent: settings.failureRatePercent,
      minimumCalls: settings.minimumCalls,
      openMs: settings.openDuration(this.openings + 1),
    };
  }

  /** What the store has answered to a question that was asked under the version `asked`. */
  private hear(view: CircuitView, asked: number): void {
    if (this.isOvertaken(view, asked)) return;
    const isNew = view.version !== this.version;
    this.version = view.version;
    if (this.isOver) return;
    this.openings = view.openings;
    this.openForAll = view.open;
    // What is tripped here was said under an older version, or to a store that has forgotten: it is said again.
    if (isNew && this.tripped) this.syncAgain = true;
    if (MANUAL.has(this.circuit.state) || this.closing > 0) return;
    if (view.open) this.openWithAll(view, isNew);
    else if (this.followed) this.closeWithAll(view);
  }

  /** Versions only rise, so an answer below that of its question is of a store that has forgotten: it counts. */
  private isOvertaken(view: CircuitView, asked: number): boolean {
    if (this.version === asked) return false;
    // Something was heard meanwhile: later, or that the store has forgotten what it says here.
    return asked < this.version ? view.version < this.version : view.version !== this.version;
  }

  private openWithAll({ leftMs, openings }: CircuitView, isNew: boolean): void {
    if (this.followed && !isNew) {
      this.circuit.followAgain();
      return;
    }
    // The others probe already; here its own circuit is not so far.
    if (leftMs <= 0 && this.tripped) return;
    this.follow(() => {
      this.circuit.openGuided(this.clock.now() + Math.max(0, leftMs), openings, 'opened by all instances');
    });
    this.followed = true;
    this.tripped = false;
  }

  private closeWithAll({ closedForMs }: CircuitView): void {
    if (closedForMs === undefined) {
      // The store has forgotten that it was open.
      this.lose();
      return;
    }
    this.followed = false;
    this.rampFrom = this.clock.now() - closedForMs;
    this.rampCredit = 0;
    this.follow(() => this.circuit.set('closed', 'closed by all instances'));
  }

  private follow(change: () => void): void {
    this.following = true;
    try {
      change();
    } finally {
      this.following = false;
    }
  }

  /**
   * Whether a question that failed means that the store is lost, as a whole or for this circuit. One that is well and was
   * too busy goes on sharing out the probes.
   */
  private get isStoreLost(): boolean {
    return this.fleet.state.health?.lost !== false || this.missed >= REPORT_SYNCS;
  }

  /** The store is lost, or has forgotten: an open of all stays until its own time, and then this circuit decides alone. */
  private lose(): void {
    this.openForAll = false;
    this.circuit.goAlone();
  }

  private closedForMs(): number {
    return this.clock.now() - this.rampFrom;
  }

  private rampLets(): boolean {
    if (this.rampFrom === Number.NEGATIVE_INFINITY) return true;
    const percent = this.admittedPercent;
    if (percent === 100) {
      this.rampFrom = Number.NEGATIVE_INFINITY;
      return true;
    }
    this.rampCredit += percent;
    if (this.rampCredit < 100) return false;
    this.rampCredit -= 100;
    return true;
  }

  private arm(now: number): void {
    if (this.isOver) return;
    const isQuiet = this.key.subject !== '' && now - this.usedAt >= QUIET_MS;
    if (isQuiet && this.circuit.state === 'closed') return;
    this.clock.arm(this, now + jittered(SYNC_MS, SYNC_JITTER, this.random));
  }
}

/** How many probes decide by their rate; 0 where the first failure does. */
function resultsOf({ rateMode, probeLimit }: CircuitSettings): number {
  return rateMode ? probeLimit : 0;
}

/** A call that waits for the store's word on a probe. */
class ProbeWait extends PermitWait<Admission> {
  private ended = false;

  constructor(
    call: Call,
    private readonly guide: SharedCircuit,
    private readonly remainingMs: number | undefined,
  ) {
    super(call);
    if (call.cancellable) call.onAbortAdd(this);
    void this.ask();
  }

  onAbort(): void {
    this.ended = true;
    this.refuse(this.call.abortReason);
  }

  /** The store's guard bounds it. */
  onDue(): void {}

  private async ask(): Promise<void> {
    const answer = await this.guide.probe(this.remainingMs);
    if (this.ended) {
      this.guide.giveBack(answer);
      return;
    }
    this.ended = true;
    if (this.call.cancellable) this.call.onAbortRemove(this);
    const admission = this.guide.admit(answer);
    if (admission === undefined) this.refuseWith(() => this.guide.refusal());
    else this.grant(admission);
  }
}
