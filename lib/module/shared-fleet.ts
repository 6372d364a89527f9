import type { Clock } from '../core/clock.js';
import type { EventHub } from '../core/events.js';
import type { Fleet, SharedState } from '../core/shared-state.js';
import { TimerEntry } from '../core/timer-entry.js';

const BEAT_MS = 2_000;
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

/** The instances that share state: says that this one is alive, and learns how many are. */
export class SharedFleet implements Fleet {
  size = 1;
  private readonly beat = new Beat(() => void this.sayAlive());
  private readonly leaving: (() => Promise<void>)[] = [];
  private isOver = false;

  private lostAt = 0;

  constructor(
    readonly state: SharedState,
    private readonly clock: Clock,
    private readonly events: EventHub,
  ) {
    state.health?.onChange((lost, error) => this.storeChanged(lost, error));
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
      this.size = Math.max(1, await this.state.presence.beat(ALIVE_MS));
    } catch {
      // While the store is lost the last count is the best there is.
    }
    if (!this.isOver) this.clock.arm(this.beat, this.clock.now() + BEAT_MS);
  }
}

class Beat extends TimerEntry {
  constructor(private readonly due: () => void) {
    super();
  }

  onDue(): void {
    this.due();
  }
}
