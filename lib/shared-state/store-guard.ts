import { setImmediate } from 'node:timers';
import type { Clock, RandomSource } from '../core/clock.js';
import { ListenerGuard } from '../core/events.js';
import type { StoreHealth } from '../core/shared-state.js';
import { CallbackTimer } from '../core/timer-entry.js';

/** The store is not asked, or has not answered in time. Whoever gets it decides from memory. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
}

/** The store said that it got the request after its deadline; it changed nothing. */
export class StoreLateError extends StoreUnavailableError {}

export interface StoreGuardOptions {
  /** What a call, or a probe, may take at most. Default 50 ms. */
  readonly timeoutMs?: number;
  /** Calls under way at most; more are not made. Default 10,000. */
  readonly maxInFlight?: number;
  /** Asks whether the store is back. */
  readonly probe: () => Promise<unknown>;
}

const TIMEOUTS_TO_DEGRADE = 2;
const ERRORS_TO_DEGRADE = 3;
/** Of the time that a caller has left at all: what the store may take of it. */
const SHARE_OF_REMAINING = 0.25;
/** With less than this no store answers in time. */
const SHORTEST_LIMIT_MS = 1;
const FIRST_PROBE_MS = 250;
/** Above this a store that is back would be noticed too late. */
const LONGEST_PROBE_MS = 1_500;
/** Another probe would only stand behind so many, unless its client has forgotten them. */
const MAX_UNANSWERED = 8;
const CROWDED_PROBE_MS = 30_000;
/** One that is lost again before that was not well. */
const WELL_AFTER_MS = 10_000;

/**
 * Stands between policies and their store: bounds how long a call may take and how many there are, and stops asking a
 * store that does not answer: after two timeouts or three errors in a row no call is made but one jittered probe at a
 * time, until one succeeds. Who is in a hurry gives up early; that counts as a timeout where the store has no answer in its
 * whole time either.
 */
export class StoreGuard implements StoreHealth {
  calls = 0;
  failures = 0;
  totalMs = 0;
  private timeouts = 0;
  private errors = 0;
  private inFlight = 0;
  private isDegraded = false;
  private isClosed = false;
  private probeDelayMs = FIRST_PROBE_MS;
  private returnedAt = Number.NEGATIVE_INFINITY;
  /** Probes that were given up, and still stand in their client's line. */
  private unanswered = 0;
  private askedAt = Number.NEGATIVE_INFINITY;
  private readonly listeners: ((lost: boolean, error: unknown) => void)[] = [];
  private readonly prober = new CallbackTimer(() => void this.probe());
  private readonly timeoutMs: number;

  constructor(
    private readonly options: StoreGuardOptions,
    private readonly clock: Clock,
    private readonly random: RandomSource,
  ) {
    this.timeoutMs = options.timeoutMs ?? 50;
  }

  private readonly failed = (error: unknown): void => {
    this.failures++;
    this.blame(error);
  };

  private readonly failedInHurry = (error: unknown): void => {
    this.failures++;
    if (!(error instanceof StoreUnavailableError)) this.blame(error);
  };

  get lost(): boolean {
    return this.isDegraded;
  }

  /** A listener's answer is not awaited; what it throws is reported once and changes nothing. */
  onChange(listener: (lost: boolean, error: unknown) => unknown): void {
    const guard = new ListenerGuard((error) =>
      process.emitWarning(`A listener of the shared store failed: ${String(error)}`, 'ResilienceWarning'),
    );
    this.listeners.push((lost, error) => guard.call(() => listener(lost, error)));
  }

  /**
   * Runs a call of the store, unless it is known to be lost.
   *
   * @param remainingMs - How long the caller can wait at all; a quarter of it is the store's.
   * @param call - Gets the instant at which it is given up.
   * @throws {@link StoreUnavailableError}, and what the store throws.
   */
  run<T>(remainingMs: number | undefined, call: (giveUpAt: number) => Promise<T>): Promise<T> {
    const { maxInFlight = 10_000 } = this.options;
    if (this.isDegraded || this.isClosed) return refused('The shared store is not asked at the moment.');
    if (this.inFlight >= maxInFlight) return refused('Too many calls of the shared store are under way.');
    const limitMs = this.limitFor(remainingMs);
    if (limitMs < SHORTEST_LIMIT_MS) return refused('There is too little time left for the shared store.');
    return this.bounded(limitMs, call, limitMs < this.timeoutMs ? this.failedInHurry : this.failed);
  }

  /** Whether who has so long cannot leave the store its whole time. */
  isHurried(remainingMs: number | undefined): boolean {
    return this.limitFor(remainingMs) < this.timeoutMs;
  }

  /** Makes no more calls. */
  close(): void {
    this.isClosed = true;
    this.clock.disarm(this.prober);
  }

  private limitFor(remainingMs = Number.POSITIVE_INFINITY): number {
    return Math.min(this.timeoutMs, remainingMs * SHARE_OF_REMAINING);
  }

  /** One promise for all of it: this is on the way of every call. */
  private bounded<T>(
    limitMs: number,
    call: (giveUpAt: number) => Promise<T>,
    failed: (error: unknown) => void,
  ): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.inFlight++;
      const startedAt = this.clock.now();
      let waiting = true;
      const end = (): boolean => {
        if (!waiting) return false;
        waiting = false;
        this.inFlight--;
        this.calls++;
        this.totalMs += this.clock.now() - startedAt;
        return true;
      };
      const refuse = (error: unknown) => {
        // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- a client throws what it likes
        reject(error);
        failed(error);
      };
      const answer = call(startedAt + limitMs);
      const cancel = this.clock.delay(limitMs, () =>
        afterAnswers(() => {
          if (!end()) return;
          refuse(unanswered(limitMs));
          if (limitMs < this.timeoutMs) this.watch(answer, this.timeoutMs - limitMs);
        }),
      );
      // What comes in after it was given up is heard and changes nothing.
      answer.then(
        (value) => {
          if (!end()) return;
          cancel();
          this.timeouts = this.errors = 0;
          resolve(value);
        },
        (error: unknown) => {
          if (!end()) return;
          cancel();
          refuse(error);
        },
      );
    });
  }

  /** Holds a call that was given up early against the store, where it has no answer in its whole time. */
  private watch(answer: Promise<unknown>, leftMs: number): void {
    let waiting = true;
    const cancel = this.clock.delay(leftMs, () =>
      afterAnswers(() => {
        if (waiting) this.blame(unanswered(this.timeoutMs));
      }),
    );
    const answered = () => {
      waiting = false;
      cancel();
    };
    answer.then(answered, answered);
  }

  private blame(error: unknown): void {
    if (error instanceof StoreUnavailableError) this.timeouts++;
    else this.errors++;
    if (this.timeouts < TIMEOUTS_TO_DEGRADE && this.errors < ERRORS_TO_DEGRADE) return;
    if (this.isDegraded || this.isClosed) return;
    this.isDegraded = true;
    if (this.clock.now() - this.returnedAt >= WELL_AFTER_MS) this.probeDelayMs = FIRST_PROBE_MS;
    this.scheduleProbe();
    this.tell(true, error);
  }

  private scheduleProbe(): void {
    // Half of it is chance, so that instances do not ask together.
    const delayMs = this.probeDelayMs * (0.5 + this.random() / 2);
    this.probeDelayMs = Math.min(LONGEST_PROBE_MS, this.probeDelayMs * 2);
    this.clock.arm(this.prober, this.clock.now() + delayMs);
  }

  private async probe(): Promise<void> {
    const isCrowded = this.unanswered >= MAX_UNANSWERED;
    if (isCrowded && this.clock.now() - this.askedAt < CROWDED_PROBE_MS) {
      this.scheduleProbe();
      return;
    }
    try {
      // A store that is too slow for calls is not back.
      await this.bounded(
        this.timeoutMs,
        () => this.ask(),
        () => {},
      );
    } catch {
      if (!this.isClosed) this.scheduleProbe();
      return;
    }
    if (this.isClosed) return;
    this.timeouts = this.errors = 0;
    this.isDegraded = false;
    this.returnedAt = this.clock.now();
    this.tell(false, undefined);
  }

  private ask(): Promise<unknown> {
    const answered = () => {
      this.unanswered--;
    };
    this.unanswered++;
    this.askedAt = this.clock.now();
    const answer = this.options.probe();
    answer.then(answered, answered);
    return answer;
  }

  private tell(lost: boolean, error: unknown): void {
    for (const listener of this.listeners) listener(lost, error);
  }
}

/** Where the process was busy, timers are due before answers are read that have been there for long. */
function afterAnswers(then: () => void): void {
  setImmediate(then);
}

function unanswered(limitMs: number): StoreUnavailableError {
  return new StoreUnavailableError(`The shared store did not answer within ${limitMs} ms.`);
}

function refused(message: string): Promise<never> {
  return Promise.reject(new StoreUnavailableError(message));
}
