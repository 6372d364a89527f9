import type { Provider } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { sharedSymbol } from '../../core/identity.js';
import { resolveOptions } from '../../core/option-table.js';
import { RUNTIME_TOKEN } from '../../decorators/runtime.js';
import type { ResilienceModuleOptions } from '../resilience.options.js';
import type { ResilienceRuntime } from '../resilience.runtime.js';
import { EventLog } from './event-log.js';
import { EventOutlets } from './event-outlets.js';
import { eventsTable } from './events.options.js';

const OUTLETS_TOKEN = sharedSymbol('event-outlets');

/** The application's {@link EventLog} and where else its events go; made after the runtime, which has checked the options. */
export function eventProviders(optionsToken: symbol): Provider[] {
  return [
    {
      provide: EventLog,
      inject: [optionsToken, RUNTIME_TOKEN],
      useFactory: ({ events }: ResilienceModuleOptions, runtime: ResilienceRuntime) => {
        const { keep, keepPerPolicy } = resolveOptions(eventsTable, events);
        return new EventLog(runtime, keep, keepPerPolicy);
      },
    },
    {
      provide: OUTLETS_TOKEN,
      inject: [optionsToken, RUNTIME_TOKEN, ModuleRef],
      useFactory: ({ events }: ResilienceModuleOptions, runtime: ResilienceRuntime, moduleRef: ModuleRef) =>
        new EventOutlets(resolveOptions(eventsTable, events), runtime.events, moduleRef),
    },
  ];
}
