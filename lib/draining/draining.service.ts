import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import {
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
} from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import type { Clock } from '../core/clock.js';
import { formatDuration, parseDuration, type Duration } from '../core/duration.js';
import { DrainingError } from '../core/errors.js';
import type { EventHub } from '../core/events.js';
import { TimerEntry } from '../core/timer-entry.js';
import { nextPhase, type DrainPhase } from './drain-phase.js';
import type { DrainingSettings } from './draining.options.js';
import { HttpGate, type Refusal } from './http-gate.js';
import type { DrainHook } from './on-drain.js';
import { ServedPaths, type RouteFrame } from './served-paths.js';

/** The numbers of draining. @publicApi */
export interface DrainingStats {
  readonly phase: DrainPhase;
  readonly isDraining: boolean;
  /** Requests and tracked work under way; health endpoints are left out. */
  readonly inFlightRequests: number;
  /** Requests and tracked work that were refused. */
  readonly refusedRequests: number;
  /** What was under way when `timeout` was over, or the waits were skipped. */
  readonly cutOffRequests: number;
  /** ISO time stamp; `undefined` while it does not drain. */
  readonly drainingStartedAt: string | undefined;
  readonly drainingElapsedMs: number | undefined;
  readonly readinessDelayMs: number;
  readonly timeoutMs: number;
}

/** What draining needs of the application. */
export interface DrainingEnvironment {
  readonly clock: Clock;
  readonly events: EventHub;
  readonly host: Pick<HttpAdapterHost, 'httpAdapter'>;
  /** Where the application's routes are, once it has them. */
  readonly frame: () => RouteFrame;
  /** The `onDrain` methods that there are now. */
  readonly hooks: () => readonly DrainHook[];
  /** The answer that an error becomes. */
  readonly refusal: (error: DrainingError) => Refusal;
}

/** Another instance can serve a client at once; a second keeps it from asking this one in a loop. */
const RETRY_AFTER_MS = 1_000;

/** How long answers of health endpoints may take when all else is over. */
const LAST_ANSWERS_MS = 1_000;

/**
 * The application's way out: readiness turns down, traffic is served until load balancers have looked away, new work is
 * refused, what is under way finishes, and only then Nest closes. {@link enableGracefulShutdown} ties it to signals and to
 * `app.close()`.
 *
 * @example
 * constructor(private readonly draining: DrainingService) {}
 * importAll(file: string) { return this.draining.track(() => this.importer.run(file)); }
 *
 * @publicApi
 */
export class DrainingService implements OnApplicationBootstrap, OnModuleDestroy, OnApplicationShutdown {
  private readonly logger = new Logger(DrainingService.name);
  private readonly served = new ServedPaths();
  private readonly gate: HttpGate;
  private readonly waiting = new Set<DrainWaiter>();
  private readonly hooksUnderWay = new Set<DrainHook>();
  private readonly quiesced: Promise<boolean>;
  private resolveQuiesced!: (drained: boolean) => void;
  private current: DrainPhase = 'ready';
  private refusing = false;
  private tracked = 0;
  private refusedWork = 0;
  private cutOff = 0;
  private startedAt = Number.NaN;
  private startedWallTime = Number.NaN;
  private cancelTimer: (() => void) | undefined;
  private closeApplication: (() => Promise<void>) | undefined;

  constructor(
    readonly settings: DrainingSettings,
    private readonly environment: DrainingEnvironment,
  ) {
    this.quiesced = new Promise((resolve) => (this.resolveQuiesced = resolve));
    for (const path of settings.alwaysServe) this.alwaysServe(path);
    this.gate = new HttpGate(
      this.served,
      () => environment.refusal(this.refusal()),
      () => this.changed(),
    );
  }

  /** Where the application is on its way. */
  get phase(): DrainPhase {
    return this.current;
  }

  /** Whether it wants no new traffic: from the beginning of the drain on. */
  get isDraining(): boolean {
    return !Number.isNaN(this.startedAt);
  }

  /** Requests and tracked work that are under way; health endpoints are left out. */
  get inFlight(): number {
    return this.gate.inFlight + this.tracked;
  }

  /** @internal */
  get clock(): Clock {
    return this.environment.clock;
  }

  /**
   * Paths that are answered to the end, with all below them. The application's global prefix, a version (one that begins
   * with a digit, or a default one) and the path of the controller's module may be left out.
   */
  alwaysServe(path: string): void {
    this.served.add(path);
  }

  /** @internal As {@link DrainingService.alwaysServe}, without what is below it: that may be the user's. */
  alwaysServeExactly(path: string): void {
    this.served.addExactly(path);
  }

  /** Begins to drain; once is enough. The application stays open: see {@link DrainingService.shutdown}. */
  start(reason = 'A call'): void {
    if (this.current !== 'ready') return;
    const { clock } = this.environment;
    const { enabled, readinessDelay } = this.settings;
    this.startedAt = clock.now();
    this.startedWallTime = clock.wallTime();
    this.enter('draining');
    if (!enabled) return this.quiesce();
    this.gate.announce();
    // Where nobody listens, no load balancer has to look away.
    const delayMs = this.gate.isListening ? readinessDelay : 0;
    this.logger.log(`${reason}: draining. ${this.plan(delayMs)}`);
    if (delayMs === 0) this.refuse();
    else this.cancelTimer = clock.delay(delayMs, () => this.refuse());
  }

  /** Begins to drain, and waits until that is over: `true`, or `false` where something had to be cut off. */
  drain(reason?: string): Promise<boolean> {
    this.start(reason);
    return this.quiesced;
  }

  /**
   * Drains, and closes the application.
   *
   * @throws Error where `enableGracefulShutdown(app)` was not called: nothing else knows the application.
   */
  async shutdown(): Promise<void> {
    if (this.closeApplication === undefined) {
      throw new Error('Nothing can close this application: call enableGracefulShutdown(app) in main.ts.');
    }
    await this.closeApplication();
  }

  /** Ends all waiting: what is under way is cut off. */
  skipWaits(): void {
    if (this.current !== 'draining') return;
    if (!this.refusing) this.refuse();
    this.quiesce();
  }

  /**
   * Runs work that a drain waits for.
   *
   * @throws {@link DrainingError} without running it, once new work is refused.
   */
  async track<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    if (this.refusing) {
      this.refusedWork++;
      throw this.refusal();
    }
    this.tracked++;
    try {
      return await fn();
    } finally {
      this.tracked--;
      this.changed();
    }
  }

  /**
   * Waits until nothing is under way and, once a drain has begun, nothing new can come: `true`, or `false` where `timeout`
   * (default: the option of that name) was over before.
   */
  wait(timeout: Duration = this.settings.timeout): Promise<boolean> {
    const timeoutMs = parseDuration(timeout);
    if (timeoutMs === undefined)
      throw new TypeError(`A timeout must be a duration, got ${JSON.stringify(timeout)}.`);
    if (this.isQuiet) return Promise.resolve(true);
    const { clock } = this.environment;
    return new Promise((resolve) => {
      const waiter = new DrainWaiter((drained) => {
        this.waiting.delete(waiter);
        clock.disarm(waiter);
        resolve(drained);
      });
      this.waiting.add(waiter);
      clock.arm(waiter, clock.now() + timeoutMs);
    });
  }

  stats(): DrainingStats {
    const { isDraining, settings } = this;
    return {
      phase: this.current,
      isDraining,
      inFlightRequests: this.inFlight,
      refusedRequests: this.gate.refused + this.refusedWork,
      cutOffRequests: this.cutOff,
      drainingStartedAt: isDraining ? new Date(this.startedWallTime).toISOString() : undefined,
      drainingElapsedMs: isDraining ? this.elapsedMs : undefined,
      readinessDelayMs: settings.readinessDelay,
      timeoutMs: settings.timeout,
    };
  }

  /** @internal Whoever can close the application says so. */
  closesWith(close: () => Promise<void>): void {
    this.closeApplication = close;
  }

  /** @internal Closes all connections, now that nothing is under way. */
  async disconnect(): Promise<void> {
    const { clock } = this.environment;
    await this.gate.disconnect(
      (done) =>
        new Promise((resolve) => {
          const cancel = clock.delay(LAST_ANSWERS_MS, resolve);
          void done.then(() => {
            cancel();
            resolve();
          });
        }),
    );
  }

  /** Before anything listens: no request goes uncounted. */
  onApplicationBootstrap(): void {
    const { httpAdapter } = this.environment.host;
    if (!this.settings.enabled || !httpAdapter) return;
    this.served.within(this.environment.frame());
    this.gate.attach(httpAdapter.getHttpServer() as Server);
    // Listening to "localhost", Fastify opens a server per address and shows only the first.
    if (httpAdapter.getType() === 'fastify') {
      const instance = httpAdapter.getInstance<FastifyLike>();
      instance.addHook('onRequest', (request, reply, done) => {
        this.gate.meet(request.raw, reply.raw);
        done();
      });
    }
  }

  onModuleDestroy(): void {
    if (this.current !== 'ready' || this.inFlight === 0) return;
    this.logger.warn(
      `The application closes with ${this.underWay} and does not wait: call enableGracefulShutdown(app) in main.ts.`,
    );
  }

  onApplicationShutdown(): void {
    if (this.current === 'closed') return;
    const drained = this.current === 'quiesced';
    this.cancelTimer?.();
    this.enter('closed');
    this.resolveQuiesced(false);
    if (drained) this.logger.log(`Closed, ${formatDuration(Math.round(this.elapsedMs))} after it began.`);
  }

  private get isQuiet(): boolean {
    return this.inFlight === 0 && (this.current === 'ready' || this.refusing);
  }

  private get elapsedMs(): number {
    return this.environment.clock.now() - this.startedAt;
  }

  private get underWay(): string {
    return `${this.inFlight} ${this.inFlight === 1 ? 'request' : 'requests'} under way`;
  }

  private plan(delayMs: number): string {
    const serves = delayMs === 0 ? '' : `Serves for another ${formatDuration(delayMs)}. `;
    return `${serves}Then ${formatDuration(this.settings.timeout)} for what is under way (${this.inFlight} now).`;
  }

  private refusal(): DrainingError {
    return new DrainingError('The application is shutting down and takes no new work.', {
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  /** From here on new work is refused, and what is under way has `timeout`. */
  private refuse(): void {
    this.cancelTimer?.();
    this.refusing = true;
    this.gate.refuse();
    const { clock, hooks } = this.environment;
    for (const hook of hooks()) void this.call(hook);
    this.cancelTimer = clock.delay(this.settings.timeout, () => this.quiesce());
    this.changed();
  }

  private async call(hook: DrainHook): Promise<void> {
    this.hooksUnderWay.add(hook);
    try {
      await hook.run();
    } catch (error) {
      this.logger.error(`${hook.name} failed: ${String(error)}`, (error as Error | undefined)?.stack);
    }
    this.hooksUnderWay.delete(hook);
    this.changed();
  }

  /** Something is over: perhaps all is. */
  private changed(): void {
    if (!this.isQuiet) return;
    for (const waiter of this.waiting) waiter.done(true);
    if (this.refusing && this.hooksUnderWay.size === 0) this.quiesce();
  }

  private quiesce(): void {
    if (this.current !== 'draining') return;
    this.cancelTimer?.();
    this.refusing = true;
    this.cutOff = this.inFlight;
    this.enter('quiesced');
    const elapsed = formatDuration(Math.round(this.elapsedMs));
    const late = [...this.hooksUnderWay].map(({ name }) => name);
    if (late.length > 0) this.logger.warn(`Not waited for any longer: ${late.join(', ')}.`);
    if (this.cutOff > 0) this.logger.warn(`Drained for ${elapsed}, and cut off ${this.underWay}.`);
    else this.logger.log(`Drained in ${elapsed}. Nothing is under way.`);
    this.resolveQuiesced(this.cutOff === 0);
  }

  private enter(phase: DrainPhase): void {
    const from = this.current;
    this.current = nextPhase(from, phase);
    const { clock, events } = this.environment;
    if (!events.active) return;
    const details = { from, inFlight: this.inFlight, cutOff: this.cutOff };
    events.emit({ kind: 'draining', policy: 'application', type: phase, at: clock.now(), details });
  }
}

/** What is used of a Fastify instance. */
interface FastifyLike {
  addHook(
    name: 'onRequest',
    hook: (request: { raw: IncomingMessage }, reply: { raw: ServerResponse }, done: () => void) => void,
  ): unknown;
}

class DrainWaiter extends TimerEntry {
  override keepAlive = true;

  constructor(readonly done: (drained: boolean) => void) {
    super();
  }

  onDue(): void {
    this.done(false);
  }
}
