import type { ModuleRef } from '@nestjs/core';
import type { EventHub } from '../../core/events.js';
import { TRANSITIONS } from './event-catalogue.js';
import type { EventChoice } from './events.options.js';

/** What is used of `EventEmitter2`. */
interface Emitter {
  emit(name: string, event: unknown): boolean;
}

/**
 * Emits events through the application's `EventEmitter2`, as `resilience.<kind>.<type>`. The package is loaded here, only
 * where somebody asks for it.
 *
 * @throws Error where it, or its module, is missing.
 */
export async function bridgeToEventEmitter(
  events: EventHub,
  choice: Exclude<EventChoice, 'none'>,
  moduleRef: ModuleRef,
): Promise<() => void> {
  const emitter = await findEmitter(moduleRef);
  return events.listen(
    (event) => {
      emitter.emit(`resilience.${event.kind}.${event.type}`, event);
    },
    choice === 'all' ? undefined : TRANSITIONS,
  );
}

async function findEmitter(moduleRef: ModuleRef): Promise<Emitter> {
  const asked = 'ResilienceModule.forRoot({ events: { emit } })';
  let EventEmitter2: new () => Emitter;
  try {
    ({ EventEmitter2 } = await import('@nestjs/event-emitter'));
  } catch (cause) {
    throw new Error(`${asked} needs the package @nestjs/event-emitter: npm install @nestjs/event-emitter`, {
      cause,
    });
  }
  try {
    return moduleRef.get(EventEmitter2, { strict: false });
  } catch (cause) {
    throw new Error(`${asked} needs EventEmitterModule.forRoot() among the imports of the application.`, {
      cause,
    });
  }
}
