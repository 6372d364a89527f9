import { AsyncResource } from 'node:async_hooks';
import { Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import type { OnDrain } from 'nestjs-breakwater';
import { AuditService } from './audit.service.js';

const EVERY_MS = 1_000;

/**
 * Brings entries from the outbox to the audit log, soon after each change and whenever some are left. A change never
 * waits for it: an audit log that is away loses nothing and slows nobody.
 */
@Injectable()
export class AuditRelay implements OnApplicationBootstrap, OnDrain {
  private readonly log = new Logger(AuditRelay.name);
  /** Work that belongs to no request, and must not end with the deadline of the one that woke it. */
  private readonly background = new AsyncResource(AuditRelay.name);
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private again = false;
  private failing = false;

  constructor(private readonly audit: AuditService) {}

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => this.wake(), EVERY_MS);
    this.timer.unref();
  }

  /** What is left after this is there at the next start. */
  async onDrain(): Promise<void> {
    clearInterval(this.timer);
    this.wake();
    await this.running;
  }

  /** There is something to bring. */
  wake(): void {
    this.again = true;
    this.running ??= this.background
      .runInAsyncScope(() => this.run())
      .finally(() => {
        this.running = undefined;
      });
  }

  private async run(): Promise<void> {
    while (this.again) {
      this.again = false;
      try {
        while ((await this.audit.record()) > 0);
        this.failing = false;
      } catch (error) {
        if (!this.failing) this.log.warn(`Audit entries wait in the outbox: ${String(error)}`);
        this.failing = true;
      }
    }
  }
}
