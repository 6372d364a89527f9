import { Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';
import type { EventHub } from '../../core/events.js';
import { bridgeToEventEmitter } from './event-emitter-bridge.js';
import type { EventSettings } from './events.options.js';
import { logTransitions } from './transition-logger.js';

/** Takes the application's events to where its options say: Nest's log, `EventEmitter2`. */
@Injectable()
export class EventOutlets implements OnModuleInit, OnApplicationShutdown {
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
  }

  onApplicationShutdown(): void {
    for (const close of this.open.splice(0)) close();
  }
}
