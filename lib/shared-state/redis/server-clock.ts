import { US_PER_MS } from '../../core/duration.js';

/** For how long an estimate is good; clocks drift apart. */
const GOOD_FOR_MS = 10_000;

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
