import type { Next } from './call.js';
import type { Clock } from './clock.js';
import { isRejection } from './errors.js';

/** How a call ended, as its caller saw it. @publicApi */
export type CallEnd = 'successful' | 'failed' | 'rejected';

/** The upper bounds that durations are counted by, in seconds; what is longer is counted too. */
export const DURATION_BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
] as const;

/** How many calls ended in one way, and how long they took. @publicApi */
export interface CallDurationStats {
  readonly count: number;
  readonly sumSeconds: number;
  /** How many took at most so many seconds, by upper bound. */
  readonly upToSeconds: Readonly<Record<string, number>>;
}

/** The durations of one pipeline's calls. @publicApi */
export type PipelineDurations = { readonly [end in CallEnd]: CallDurationStats };

/**
 * Times whole calls, pipeline by pipeline: two readings of the clock and a promise per call, which is why it is only there
 * where somebody asks for it. Numbers only rise: nothing resets them.
 */
export class CallDurations {
  private readonly pipelines = new Map<string, Record<CallEnd, Buckets>>();

  constructor(private readonly clock: Clock) {}

  /** The same pipeline, timed under its name. */
  time(name: string, next: Next): Next {
    const { clock } = this;
    const buckets = this.of(name);
    return (call) => {
      const startedAt = clock.now();
      const ended = (end: CallEnd) => buckets[end].add(clock.now() - startedAt);
      const failed = (error: unknown): never => {
        ended(isRejection(error) ? 'rejected' : 'failed');
        throw error;
      };
      let answer: unknown;
      try {
        answer = next(call);
      } catch (error) {
        return failed(error);
      }
      if (answer instanceof Promise) {
        return answer.then((value: unknown) => {
          ended('successful');
          return value;
        }, failed);
      }
      ended('successful');
      return answer;
    };
  }

  stats(): Readonly<Record<string, PipelineDurations>> {
    return Object.fromEntries(
      [...this.pipelines].map(([name, { successful, failed, rejected }]) => [
        name,
        { successful: successful.stats(), failed: failed.stats(), rejected: rejected.stats() },
      ]),
    );
  }

  private of(name: string): Record<CallEnd, Buckets> {
    let buckets = this.pipelines.get(name);
    if (buckets === undefined) {
      buckets = { successful: new Buckets(), failed: new Buckets(), rejected: new Buckets() };
      this.pipelines.set(name, buckets);
    }
    return buckets;
  }
}

class Buckets {
  private readonly counts = new Array<number>(DURATION_BOUNDS.length + 1).fill(0);
  private sumMs = 0;

  add(durationMs: number): void {
    const seconds = durationMs / 1_000;
    let place = 0;
    while (place < DURATION_BOUNDS.length && seconds > (DURATION_BOUNDS[place] as number)) place++;
    this.counts[place]!++;
    this.sumMs += durationMs;
  }

  stats(): CallDurationStats {
    const upToSeconds: Record<string, number> = {};
    let count = 0;
    for (const [place, bound] of DURATION_BOUNDS.entries()) {
      count += this.counts[place] as number;
      upToSeconds[bound] = count;
    }
    return { count: count + (this.counts.at(-1) as number), sumSeconds: this.sumMs / 1_000, upToSeconds };
  }
}
