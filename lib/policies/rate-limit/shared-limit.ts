import type { Clock } from '../../core/clock.js';
import type { RateLimitDecision } from '../../core/errors.js';
import type { Fleet, TakeAnswer } from '../../core/shared-state.js';
import type { LimitAlgorithm } from './algorithm.js';
import { KeyedStates } from './keyed-states.js';
import { decisionOf, tokenBucket } from './limiter.js';

/** How a limit is shared, and what holds while the store is lost. */
export interface SharedLimitSettings {
  readonly mode: 'exact' | 'leased';
  readonly onStoreLoss: 'local-share' | 'open' | 'closed';
  readonly capacity: number;
  readonly perSecond: number;
  readonly maxKeys: number;
}

/** How often the store decided, what it had lent, and this instance alone. */
export interface SharedDecisions {
  store: number;
  lease: number;
  alone: number;
}

/** Units borrowed from the store, of one key. */
interface Lease {
  left: number;
  /** How many the last refill asked for and brought. */
  wanted: number;
  brought: number;
  expiresAt: number;
  /** Until then the store has nothing for this cost and above. */
  deniedUntil: number;
  deniedCost: number;
  refill: Promise<void> | undefined;
  /** How the last decision came out. */
  last: RateLimitDecision;
}

/** Calls of one turn that ask for the same. They ask together, and are answered in their order. */
interface Question {
  readonly key: string;
  readonly cost: number;
  /** How long the most hurried of them can wait. */
  remainingMs: number | undefined;
  readonly waiting: ((decision: RateLimitDecision) => void)[];
}

/** Who has less time is in a hurry, where the store does not say. */
const HURRIED_MS = 200;
/** Unused units die after so long: they count as used at the store. */
const LEASE_MS = 250;
/** A lease lasts about so long at full rate. */
const LEASE_SPAN_S = 0.02;
const US_PER_SECOND = 1_000_000;
/** Where a lost store refuses everything: when to try again. */
const CLOSED_RETRY_MS = 1_000;

/**
 * A token bucket that all instances draw from. `exact` asks the store for every unit; `leased` borrows units for a few
 * milliseconds ahead, so that most decisions are made from memory. While the store is lost each instance keeps to its
 * share of the rate (or lets all or nothing pass).
 */
export class SharedLimit {
  private readonly leases = new Map<string, Lease>();
  private readonly questions = new Map<string, Question>();
  private share: LocalShare | undefined;

  constructor(
    private readonly policy: string,
    private readonly settings: SharedLimitSettings,
    private readonly fleet: Fleet,
    private readonly clock: Clock,
    private readonly decisions: SharedDecisions,
  ) {}

  /** Keys that are kept at the moment. */
  get keys(): number {
    return this.leases.size;
  }

  /** Decides from what has been borrowed; `undefined` where the store must be asked. */
  decideNow(key: string, cost: number, now: number): RateLimitDecision | undefined {
    const lease = this.leases.get(key);
    return lease && this.decideFrom(lease, cost, now);
  }

  private decideFrom(lease: Lease, cost: number, now: number): RateLimitDecision | undefined {
    if (this.settings.mode === 'leased' && lease.left >= cost && lease.expiresAt > now) {
      lease.left -= cost;
      this.decisions.lease++;
      lease.last = this.allowed(lease.last.remaining - cost, lease.last.resetMs);
      return lease.last;
    }
    if (lease.deniedUntil <= now || cost < lease.deniedCost) return undefined;
    this.decisions.lease++;
    lease.last = this.refused(lease.deniedUntil - now, lease.last.resetMs);
    return lease.last;
  }

  /** Asks the store. Never rejects. */
  decide(key: string, cost: number, remainingMs: number | undefined): Promise<RateLimitDecision> {
    if (this.settings.mode === 'exact') return this.takeExactly(key, cost, remainingMs);
    return this.takeLeased(key, cost, remainingMs).catch(() => this.decideAlone(key, cost));
  }

  /** What the last decision of a key left. */
  look(key: string): RateLimitDecision {
    const { capacity } = this.settings;
    return this.leases.get(key)?.last ?? this.allowed(capacity, 0);
  }

  /**
   * Gives back what was taken at `takenAt` and not used after all, less what the store's bucket has got back since then;
   * what has gone to the store for good comes back with time.
   */
  giveBack(key: string, cost: number, takenAt: number): void {
    const lease = this.leases.get(key);
    if (this.settings.mode !== 'leased' || lease === undefined) return;
    const refilled = ((this.clock.now() - takenAt) / 1_000) * this.settings.perSecond;
    lease.left += Math.max(0, cost - refilled);
  }

  clear(): void {
    this.leases.clear();
    this.share = undefined;
  }

  private takeExactly(
    key: string,
    cost: number,
    remainingMs: number | undefined,
  ): Promise<RateLimitDecision> {
    return new Promise((resolve) => {
      if (this.isHurried(remainingMs)) {
        void this.askFor({ key, cost, remainingMs, waiting: [resolve] });
        return;
      }
      const name = `${cost} ${key}`;
      const asked = this.questions.get(name);
      if (asked !== undefined) {
        asked.waiting.push(resolve);
        if (remainingMs !== undefined)
          asked.remainingMs = Math.min(remainingMs, asked.remainingMs ?? remainingMs);
        return;
      }
      // After all that runs in this turn has asked.
      if (this.questions.size === 0) process.nextTick(() => this.askAll());
      this.questions.set(name, { key, cost, remainingMs, waiting: [resolve] });
    });
  }

  private askAll(): void {
    const questions = [...this.questions.values()];
    this.questions.clear();
    for (const question of questions) void this.askFor(question);
  }

  private async askFor({ key, cost, remainingMs, waiting }: Question): Promise<void> {
    let answer: TakeAnswer;
    try {
      // In units of the cost, which need not be whole.
      answer = await this.ask(key, { unit: cost, want: waiting.length, min: 1 }, remainingMs);
    } catch {
      for (const resolve of waiting) resolve(this.decideAlone(key, cost));
      return;
    }
    const { granted, remaining, resetMs } = answer;
    this.decisions.store += waiting.length;
    const lease = this.leaseOf(key);
    for (const [place, resolve] of waiting.entries()) {
      const left = Math.floor((remaining + Math.max(0, granted - 1 - place)) * cost);
      lease.last =
        place < granted
          ? this.allowed(left, resetMs)
          : this.refused(this.retryAfterMs(answer, cost), resetMs, left);
      resolve(lease.last);
    }
    if (granted === waiting.length) return;
    lease.deniedUntil = this.clock.now() + lease.last.retryAfterMs;
    lease.deniedCost = cost;
  }

  /** When the next call of this cost may come, after all that were granted. */
  private retryAfterMs({ granted, resetMs, retryAfterMs }: TakeAnswer, cost: number): number {
    if (granted === 0) return retryAfterMs;
    const { capacity, perSecond } = this.settings;
    return Math.max(0, resetMs + ((cost - capacity) * 1_000) / perSecond);
  }

  private async takeLeased(
    key: string,
    cost: number,
    remainingMs: number | undefined,
  ): Promise<RateLimitDecision> {
    // Whoever waits is answered from this one, also where it has been forgotten meanwhile.
    const lease = this.leaseOf(key);
    for (;;) {
      const decision = this.decideFrom(lease, cost, this.clock.now());
      if (decision !== undefined) return decision;
      // Who has little time must not ask for everybody.
      if (lease.refill === undefined && this.isHurried(remainingMs))
        return this.takeExactly(key, cost, remainingMs);
      lease.refill ??= this.refill(lease, key, Math.ceil(cost), remainingMs).finally(() => {
        lease.refill = undefined;
      });
      await lease.refill;
    }
  }

  private async refill(
    lease: Lease,
    key: string,
    min: number,
    remainingMs: number | undefined,
  ): Promise<void> {
    const want = Math.max(min, this.wantOf(lease));
    lease.wanted = want;
    const answer = await this.ask(key, { unit: 1, want, min }, remainingMs);
    const now = this.clock.now();
    lease.last = this.allowed(answer.remaining + answer.granted, answer.resetMs);
    if (answer.granted === 0) {
      lease.deniedUntil = now + answer.retryAfterMs;
      lease.deniedCost = min;
      return;
    }
    lease.brought = answer.granted;
    // What was left of an older lease has died with it.
    lease.left = (lease.expiresAt > now ? lease.left : 0) + answer.granted;
    lease.expiresAt = now + LEASE_MS;
  }

  /** Twice as many as the last time, as long as all are used; of those that died, that many less. */
  private wantOf({ left, wanted, brought, expiresAt }: Lease): number {
    if (expiresAt <= this.clock.now()) return Math.ceil(brought - left);
    const { capacity, perSecond } = this.settings;
    const share = Math.min(capacity / 8, perSecond / this.fleet.size);
    return Math.floor(Math.min(wanted * 2, perSecond * LEASE_SPAN_S, share));
  }

  private ask(
    key: string,
    { unit, want, min }: { unit: number; want: number; min: number },
    remainingMs: number | undefined,
  ): Promise<TakeAnswer> {
    const { capacity, perSecond } = this.settings;
    const emissionUs = US_PER_SECOND / perSecond;
    return this.fleet.state.take(
      { kind: 'rateLimit', policy: this.policy, subject: key },
      { emissionUs: emissionUs * unit, toleranceUs: emissionUs * capacity, want, min },
      remainingMs,
    );
  }

  /** The store is lost. */
  private decideAlone(key: string, cost: number): RateLimitDecision {
    const { onStoreLoss, capacity } = this.settings;
    this.decisions.alone++;
    if (onStoreLoss === 'open') return this.allowed(capacity, 0);
    if (onStoreLoss === 'closed') return this.refused(CLOSED_RETRY_MS, CLOSED_RETRY_MS);
    if (this.share?.size !== this.fleet.size) this.share = new LocalShare(this.settings, this.fleet.size);
    return this.share.decide(key, cost, this.clock.now());
  }

  /** Who is asks alone, so that nobody else is given up with it. */
  private isHurried(remainingMs: number | undefined): boolean {
    if (remainingMs === undefined) return false;
    return this.fleet.state.health?.isHurried?.(remainingMs) ?? remainingMs < HURRIED_MS;
  }

  private leaseOf(key: string): Lease {
    let lease = this.leases.get(key);
    if (lease === undefined) {
      lease = {
        left: 0,
        wanted: 0,
        brought: 0,
        expiresAt: 0,
        deniedUntil: 0,
        deniedCost: 0,
        refill: undefined,
        last: this.look(key),
      };
      this.makeRoom();
      this.leases.set(key, lease);
    }
    return lease;
  }

  /** The oldest go: at worst it costs a question more, and what they had borrowed. */
  private makeRoom(): void {
    for (const [key, { refill }] of this.leases) {
      if (this.leases.size < this.settings.maxKeys) return;
      if (refill === undefined) this.leases.delete(key);
    }
  }

  private allowed(remaining: number, resetMs: number): RateLimitDecision {
    const limit = this.settings.capacity;
    return { allowed: true, remaining: Math.max(0, Math.floor(remaining)), limit, retryAfterMs: 0, resetMs };
  }

  private refused(retryAfterMs: number, resetMs: number, remaining = 0): RateLimitDecision {
    return { allowed: false, remaining, limit: this.settings.capacity, retryAfterMs, resetMs };
  }
}

/** One instance's part of the limit, from memory. */
class LocalShare {
  private readonly algorithm: LimitAlgorithm<unknown>;
  private readonly states: KeyedStates<unknown>;

  constructor(
    { capacity, perSecond, maxKeys }: SharedLimitSettings,
    readonly size: number,
  ) {
    this.algorithm = tokenBucket(Math.max(1, Math.floor(capacity / size)), perSecond / size);
    this.states = new KeyedStates(this.algorithm, maxKeys, () => {});
  }

  decide(key: string, cost: number, now: number): RateLimitDecision {
    const { algorithm, states } = this;
    // A cost above the share would never be served: it takes all of it.
    const taken = Math.min(cost, algorithm.limit);
    const place = states.placeOf(key, now);
    const state = states.get(place);
    const next = algorithm.take(state, taken, now);
    if (next === undefined) return decisionOf(algorithm, state, false, taken, now);
    states.set(place, next);
    return decisionOf(algorithm, next, true, taken, now);
  }
}
