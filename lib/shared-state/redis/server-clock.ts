import type { Clock } from '../../core/clock.js';
import { US_PER_MS } from '../../core/duration.js';
import type { StoreDriver } from './drivers.js';

/** For how long an estimate is good; clocks drift apart. */
const GOOD_FOR_MS = 10_000;
/** After this a node of a cluster is asked again. A server alone is heard of all the time. */
const KEPT_FOR_MS = 60_000;
/** Nodes come and go, and get new addresses. */
const NODES_KEPT = 1_000;

/**
 * What time it is at the server, from its answers: one that says `serverUs` was read between the request and the answer,
 * so the distance of the clocks lies between two bounds. The lower one is kept: a deadline worked out with it is never
 * later than meant, and nothing is applied that was given up.
 */
export class ServerClock {
  private offsetUs: number | undefined;
  private notedAt = 0;

  get isKnown(): boolean {
    return this.offsetUs !== undefined;
  }

  isKept(now: number): boolean {
    return this.isKnown && now - this.notedAt < KEPT_FOR_MS;
  }

  /** Takes an answer in; times are monotonic milliseconds of this process. */
  note(serverUs: number, sentAt: number, receivedAt: number): void {
    const least = serverUs - receivedAt * US_PER_MS;
    const most = serverUs - sentAt * US_PER_MS;
    const { offsetUs } = this;
    const stale = receivedAt - this.notedAt >= GOOD_FOR_MS;
    // Outside the bounds: the server's clock was set, or it is another server.
    if (offsetUs !== undefined && !stale && offsetUs >= least && offsetUs <= most) return;
    this.offsetUs = least;
    this.notedAt = receivedAt;
  }

  /** An instant of this process on the server's clock, in whole microseconds. */
  at(localMs: number): number {
    return Math.floor(localMs * US_PER_MS + (this.offsetUs as number));
  }
}

/** The clock of a server alone, or those of a cluster's nodes: a deadline by that of another node would be none. */
export class ServerClocks {
  private readonly only = new ServerClock();
  private readonly byNode = new Map<string, ServerClock>();

  constructor(
    private readonly nodeOf: StoreDriver['nodeOf'],
    private readonly clock: Clock,
  ) {}

  /** That of the server which has the key. Where nobody knows which, it is one that knows nothing yet. */
  of(name: string): ServerClock {
    if (this.nodeOf === undefined) return this.only;
    const node = this.nodeOf(name);
    if (node === undefined) return new ServerClock();
    const kept = this.byNode.get(node);
    if (kept?.isKept(this.clock.now())) return kept;
    const clock = new ServerClock();
    if (this.byNode.size >= NODES_KEPT) this.byNode.clear();
    this.byNode.set(node, clock);
    return clock;
  }
}
