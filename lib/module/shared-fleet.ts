import type { Clock } from '../core/clock.js';
import type { Fleet, SharedState } from '../core/shared-state.js';
import { TimerEntry } from '../core/timer-entry.js';

const BEAT_MS = 2_000;
/** Three beats may be missed. */
const ALIVE_MS = 4 * BEAT_MS;

/** The instances that share state: says that this one is alive, and learns how many are. */
export class SharedFleet implements Fleet {
  size = 1;
  private readonly beat = new Beat(() => void this.sayAlive());
  private readonly leaving: (() => Promise<void>)[] = [];
  private isOver = false;

  constructor(
    readonly state: SharedState,
    private readonly clock: Clock,
  ) {}

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
