import { Logger } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import type { EventHub } from '../core/events.js';
import type { Fleet, SharedState, StateKey } from '../core/shared-state.js';
import { CallbackTimer } from '../core/timer-entry.js';

const BEAT_MS = 2_000;
/** Numbers are compared each so many beats. */
const BEATS_TO_COMPARE = 8;
/** They are few calls at a time: nobody waits for them. */
const COMPARED_TOGETHER = 20;
const NUMBERS_MS = 4 * BEATS_TO_COMPARE * BEAT_MS;
/** Three beats may be missed. */
const ALIVE_MS = 4 * BEAT_MS;

/** The store that instances share, as this one sees it. @publicApi */
export interface SharedStateStats {
  /** How many instances there are, as far as is known. */
  readonly instances: number;
  /** Whether the store does not answer, so that this instance decides alone. */
  readonly lost: boolean;
  /** Calls of the store, those of them that failed or took too long, and how long all took together. */
  readonly calls: number;
  readonly failures: number;
  readonly totalMs: number;
}

/** The numbers by which a shared policy goes here. */
interface DeclaredNumbers {
  readonly key: StateKey;
  readonly text: string;
  warned: boolean;
}

/**
 * The instances that share state: says that this one is alive, and learns how many are. It believes at once that there are
 * more, and that there are fewer when no answer of some seconds says otherwise: a store that was emptied or away knows only
 * those that have spoken since.
 */
export class SharedFleet implements Fleet {
  size = 1;
  /** The last answers, as many as an instance may miss beats. */
  private readonly counts: number[] = [];
  private readonly beat = new CallbackTimer(() => void this.sayAlive());
  /** By kind and policy: the numbers that hold here. */
  private readonly numbers = new Map<string, DeclaredNumbers>();
  private readonly logger = new Logger('Resilience');
  private beats = 0;
  private readonly leaving: (() => Promise<void>)[] = [];
  private isOver = false;
  private lostAt = 0;

  readonly state: SharedState;

  constructor(
    state: SharedState,
    private readonly clock: Clock,
    private readonly events: EventHub,
  ) {
    this.state = state.join?.() ?? state;
    this.state.health?.onChange((lost, error) => this.storeChanged(lost, error));
  }

  stats(): SharedStateStats {
    const { health } = this.state;
    return {
      instances: this.size,
      lost: health?.lost ?? false,
      calls: health?.calls ?? 0,
      failures: health?.failures ?? 0,
      totalMs: health?.totalMs ?? 0,
    };
  }

  declare(kind: string, policy: string, numbers: string): void {
    const key = { kind: 'numbers', policy: `${kind} ${policy}`, subject: '' };
    if (this.numbers.get(key.policy)?.text === numbers) return;
    this.numbers.set(key.policy, { key, text: numbers, warned: false });
  }

  onLeave(leave: () => Promise<void>): void {
    this.leaving.push(leave);
  }

  /** Announces this instance; from now on it does so again and again. */
  async start(): Promise<void> {
    await this.sayAlive();
  }

  /** Leaves, and lets go of what this instance holds. */
  async stop(): Promise<void> {
    this.isOver = true;
    this.clock.disarm(this.beat);
    // What cannot be given back expires.
    await Promise.allSettled(this.leaving.map((leave) => leave()));
    await this.state.close();
  }

  private storeChanged(lost: boolean, error: unknown): void {
    const at = this.clock.now();
    const details = lost ? { error } : { lostForMs: at - this.lostAt };
    if (lost) this.lostAt = at;
    this.events.emit({ kind: 'sharedState', policy: 'store', type: lost ? 'lost' : 'returned', at, details });
  }

  private async sayAlive(): Promise<void> {
    try {
      this.count(await this.state.presence.beat(ALIVE_MS));
      if (this.beats++ % BEATS_TO_COMPARE === 0) void this.compareNumbers();
    } catch {
      // While the store is lost the last count is the best there is.
    }
    if (!this.isOver) this.clock.arm(this.beat, this.clock.now() + BEAT_MS);
  }

  private count(instances: number): void {
    this.counts.push(instances);
    if (this.counts.length > ALIVE_MS / BEAT_MS) this.counts.shift();
    this.size = Math.max(1, ...this.counts);
  }

  /** Two instances with different numbers find each other's, and each says so once. */
  private async compareNumbers(): Promise<void> {
    const all = [...this.numbers.values()];
    try {
      for (let i = 0; i < all.length && !this.isOver; i += COMPARED_TOGETHER)
        await Promise.all(all.slice(i, i + COMPARED_TOGETHER).map((declared) => this.compare(declared)));
    } catch {
      // The next time will do.
    }
  }

  private async compare(declared: DeclaredNumbers): Promise<void> {
    const { key, text } = declared;
    const theirs = (await this.state.cache.get(key))?.value;
    if (theirs !== undefined && theirs !== text && !declared.warned) {
      declared.warned = true;
      this.logger.warn(
        `Shared ${key.policy}: another instance goes by ${theirs}, this one by ${text}. Each goes by its own numbers.`,
      );
    }
    await this.state.cache.put(key, text, NUMBERS_MS);
  }
}
