import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { EventHub } from '../../core/events.js';
import { bridgeToEventEmitter } from './event-emitter-bridge.js';
import type { EventSettings } from './events.options.js';
import { logTransitions } from './transition-logger.js';

/** Takes the application's events to where its options say: Nest's log, `EventEmitter2`. */
@Injectable()
export class EventOutlets implements OnModuleInit {
  private readonly open: (() => void)[] = [];

  constructor(
    private readonly settings: EventSettings,
    private readonly events: EventHub,
    private readonly moduleRef: ModuleRef,
  ) {
    if (settings.log) this.open.push(logTransitions(events));
  }

  async onModuleInit(): Promise<void> {
    const { emit } = this.settings;
    if (emit !== 'none') this.open.push(await bridgeToEventEmitter(this.events, emit, this.moduleRef));
    // The last event of an application, which the others are still to hear.
    if (this.open.length > 0)
      this.open.push(this.events.listen(() => this.close(), { draining: ['closed'] }));
  }

  private close(): void {
    for (const close of this.open.splice(0)) close();
  }
}
