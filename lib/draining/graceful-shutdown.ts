import { Logger, ShutdownSignal, type INestApplicationContext } from '@nestjs/common';
import { formatDuration } from '../core/duration.js';
import { DrainingService } from './draining.service.js';

/** What is used of `process`. @publicApi */
export interface ShutdownProcess {
  on(signal: string, listener: (signal: string) => void): unknown;
  off(signal: string, listener: (signal: string) => void): unknown;
  listenerCount(signal: string): number;
  exit(code: number): void;
}

/** What Nest's applications have beyond their interface, for those who extend them. */
interface SignalListening {
  unsubscribeFromProcessSignals?(): void;
}

/** Nest's interface does not say that it takes a signal, which shutdown hooks then hear of. */
type Close = (signal?: string) => Promise<void>;

/** Applications of this process that close after a signal: the last one ends it, with the worst of their codes. */
const closing = new Set<GracefulShutdown>();
let worstCode = 0;

/**
 * Lets an application drain before it closes, by `SIGTERM`, by `SIGINT` and by `app.close()`. After a signal the process
 * ends, with 0, or with 1 where closing failed. A second signal skips the waits, a third one ends the process at once.
 * Takes the place of `app.enableShutdownHooks()`: signals that are given there are taken over, before and after.
 *
 * @param process - what signals come from; for tests.
 * @throws Error where `ResilienceModule.forRoot()` is not imported.
 * @example
 * const app = await NestFactory.create(AppModule);
 * enableGracefulShutdown(app);
 * await app.listen(3000);
 *
 * @publicApi
 */
export function enableGracefulShutdown(
  app: INestApplicationContext,
  process: ShutdownProcess = globalThis.process,
): void {
  let draining: DrainingService;
  try {
    draining = app.get(DrainingService, { strict: false });
  } catch (cause) {
    throw new Error('enableGracefulShutdown(app) needs ResilienceModule.forRoot() in the root module.', {
      cause,
    });
  }
  if (bound.has(draining)) return;
  bound.add(draining);
  new GracefulShutdown(app, draining, process).install();
}

const bound = new WeakSet<DrainingService>();

class GracefulShutdown {
  private readonly logger = new Logger(DrainingService.name);
  private readonly signals = new Set<string>();
  private received = 0;
  private closed: Promise<void> | undefined;
  /** Whether Nest closes by now, for which a signal gives it `closeTimeout`. */
  private nestCloses = false;
  private cancelLimit: (() => void) | undefined;

  constructor(
    private readonly app: INestApplicationContext,
    private readonly draining: DrainingService,
    private readonly process: ShutdownProcess,
  ) {}

  install(): void {
    const { app, draining } = this;
    const close = Reflect.get(Object.getPrototypeOf(app) as object, 'close') as Close;
    // Nest hands out a proxy that swallows assignments, but lets definitions through.
    const replace = (name: string, value: unknown) =>
      Object.defineProperty(app, name, { value, configurable: true, writable: true });
    const shutdown = (own: INestApplicationContext, signal?: string) =>
      (this.closed ??= this.close(() => close.call(own, signal), signal).finally(() => {
        this.closed = undefined;
      }));
    replace('close', function (this: INestApplicationContext, signal?: string) {
      return shutdown(this, signal);
    });
    replace('enableShutdownHooks', (signals: readonly string[] = []) => {
      this.listen(signals.length === 0 ? Object.values(ShutdownSignal) : signals);
      return app;
    });
    draining.closesWith(() => app.close());
    this.listen([...draining.settings.signals, ...this.takeOver()]);
  }

  /** The signals that Nest listens to already. It would close the application without draining. */
  private takeOver(): string[] {
    const before = Object.values(ShutdownSignal).map(
      (signal) => [signal, this.process.listenerCount(signal)] as const,
    );
    (this.app as SignalListening).unsubscribeFromProcessSignals?.();
    return before.flatMap(([signal, count]) => (this.process.listenerCount(signal) < count ? [signal] : []));
  }

  private listen(signals: readonly string[]): void {
    for (const signal of signals) {
      if (this.signals.has(signal)) continue;
      this.signals.add(signal);
      this.process.on(signal, this.onSignal);
    }
  }

  private readonly onSignal = (signal: string): void => {
    this.received++;
    if (this.received === 1) void this.end(signal);
    else if (this.received > 2) {
      closing.clear();
      this.process.exit(1);
    } else {
      this.logger.warn(`${signal} again: waits no longer.`);
      this.draining.skipWaits();
    }
  };

  /** Closes, and ends the process. */
  private async end(signal: string): Promise<void> {
    closing.add(this);
    // It may be closing already, without a signal, and hang.
    if (this.nestCloses) this.limit();
    let code = 0;
    try {
      await (this.app as { close: Close }).close(signal);
    } catch (error) {
      code = 1;
      this.logger.error(`Closing failed: ${String(error)}`, (error as Error | undefined)?.stack);
    }
    this.finish(code);
  }

  private finish(code: number): void {
    if (!closing.delete(this)) return;
    worstCode = Math.max(worstCode, code);
    if (closing.size > 0) return;
    const last = worstCode;
    worstCode = 0;
    this.process.exit(last);
  }

  private async close(closeNest: () => Promise<void>, signal?: string): Promise<void> {
    const { draining } = this;
    await draining.drain(signal ?? 'app.close()');
    await draining.disconnect();
    this.nestCloses = true;
    if (this.received > 0) this.limit();
    try {
      await closeNest();
    } finally {
      this.cancelLimit?.();
      this.nestCloses = false;
      for (const listened of this.signals) this.process.off(listened, this.onSignal);
    }
  }

  /** Something in the application does not let go: after a signal the process ends nevertheless. */
  private limit(): void {
    const { clock, settings } = this.draining;
    this.cancelLimit = clock.delay(settings.closeTimeout, () => {
      this.logger.error(
        `Closing took longer than ${formatDuration(settings.closeTimeout)}: ends without it.`,
      );
      this.finish(1);
    });
  }
}
