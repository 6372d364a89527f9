import { clockOf, type PolicyEnvironment } from '../core/environment.js';
import { TimeoutExceededError } from '../core/errors.js';
import { formatDuration } from '../core/duration.js';
import { checkOptions, refuseProblems, resolveOptions } from '../core/option-table.js';
import { TimeoutPolicy } from '../policies/timeout/index.js';
import { failureText } from './failure-text.js';
import { plainDetails } from './plain-details.js';
import { probeTable, type ProbeKind, type ProbeOptions, type ProbeSettings } from './probe.options.js';

/** How one check ended. @publicApi */
export interface ProbeResult {
  readonly healthy: boolean;
  readonly kind: ProbeKind;
  /** ISO time stamp of its end. */
  readonly timestamp: string;
  readonly latencyMs: number;
  /** What the check returned, where that was an object: as plain data, bounded in depth and size. */
  readonly details: unknown;
  readonly error: string | undefined;
}

/** What a probe says about the recent past, and not about its last check alone. @publicApi */
export type ProbeStatus = 'starting' | 'up' | 'down';

/** What is checked: returns details, `false`, or throws. */
export type ProbeCheck = { check(signal: AbortSignal): unknown }['check'];

/**
 * Asks again and again whether something works. One failed check is a fact at once; the status turns down after
 * `graceFailures` of them in a row, and up again after one success.
 *
 * @example
 * const probe = new Probe({ kind: 'deep', timeout: '1s', maxLatency: '250ms' });
 * const { healthy, latencyMs } = await probe.check((signal) => fetch(url, { signal }));
 *
 * @publicApi
 */
export class Probe {
  readonly name: string;
  readonly settings: ProbeSettings;
  /** How the last check ended. */
  last: ProbeResult | undefined;
  private lastAt = Number.NaN;
  private failures = 0;
  private succeeded = false;
  private readonly timeout: TimeoutPolicy;
  /** A check that outlived its timeout; until it has settled there is no other. */
  private stuck = false;
  private checking: Promise<ProbeResult> | undefined;

  /** @throws {@link InvalidOptionsError} naming every option that cannot be. */
  constructor(
    options: ProbeOptions,
    private readonly environment?: PolicyEnvironment,
    where = `probe "${options?.name ?? ''}"`,
  ) {
    refuseProblems(checkOptions(probeTable, options, where));
    this.settings = resolveOptions(probeTable, options);
    this.name = this.settings.name ?? this.settings.kind;
    this.timeout = new TimeoutPolicy(this.name, { duration: this.settings.timeout }, environment);
  }

  /** Whether it is up: not down after too many failures, and seen to work at least once. */
  isHealthy(): boolean {
    return this.status === 'up';
  }

  get status(): ProbeStatus {
    if (this.failures >= this.settings.graceFailures) return 'down';
    return this.succeeded ? 'up' : 'starting';
  }

  /** Milliseconds since the last check ended; `undefined` before the first. */
  get ageMs(): number | undefined {
    return this.last === undefined ? undefined : clockOf(this.environment).now() - this.lastAt;
  }

  /** Checks now. Never throws, and never twice at the same time: who asks meanwhile shares the answer. */
  check(check: ProbeCheck): Promise<ProbeResult> {
    this.checking ??= this.run(check).finally(() => {
      this.checking = undefined;
    });
    return this.checking;
  }

  private async run(check: ProbeCheck): Promise<ProbeResult> {
    const clock = clockOf(this.environment);
    const startedAt = clock.now();
    let details: unknown;
    let error: string | undefined;
    try {
      const answer = await this.bounded(check);
      if (answer === false) error = 'The check answered false.';
      else if (typeof answer === 'object' && answer !== null) details = plainDetails(answer);
    } catch (thrown) {
      error = failureText(thrown);
    }
    const latencyMs = clock.now() - startedAt;
    const { maxLatency } = this.settings;
    if (error === undefined && maxLatency !== undefined && latencyMs > maxLatency) {
      error = `It took ${formatDuration(latencyMs)}, more than ${formatDuration(maxLatency)}.`;
    }
    return this.note({ latencyMs, details, error });
  }

  private async bounded(check: ProbeCheck): Promise<unknown> {
    if (this.stuck) throw new Error('An earlier check has not come back yet.');
    const freed = () => {
      this.stuck = false;
    };
    let running: Promise<unknown> | undefined;
    let ownSignal: AbortSignal | undefined;
    try {
      return await this.timeout.execute(({ signal }) => {
        ownSignal = signal;
        running = Promise.resolve(check(signal));
        return running;
      });
    } catch (error) {
      // What the check itself threw is its own news, be it a timeout within it.
      if (running === undefined || ownSignal?.aborted !== true || error !== ownSignal.reason) throw error;
      this.stuck = true;
      running.then(freed, freed);
      if (!(error instanceof TimeoutExceededError) || error.scope !== 'attempt') throw error;
      throw new Error(`No answer within ${formatDuration(this.settings.timeout)}.`, { cause: error });
    }
  }

  private note(outcome: Pick<ProbeResult, 'latencyMs' | 'details' | 'error'>): ProbeResult {
    const clock = clockOf(this.environment);
    const healthy = outcome.error === undefined;
    this.lastAt = clock.now();
    this.failures = healthy ? 0 : this.failures + 1;
    this.succeeded ||= healthy;
    this.last = {
      healthy,
      kind: this.settings.kind,
      timestamp: new Date(clock.wallTime()).toISOString(),
      ...outcome,
    };
    return this.last;
  }
}
