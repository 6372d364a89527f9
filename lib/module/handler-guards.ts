import type { Type } from '@nestjs/common';
import { recordsOf } from '../decorators/method-record.js';
import { HandlerRateLimitGuard } from '../decorators/rate-limit.guard.js';

/** Where Nest keeps the guards of a handler. */
const GUARDS_METADATA = '__guards__';

/** Whether our guard stands in front of a handler. */
export function hasOurGuard(handler: object): boolean {
  return guardsOf(handler).includes(HandlerRateLimitGuard);
}

/**
 * Puts our guard behind the other guards of each handler, before Nest reads them: a key may be what authentication finds.
 * While decorators run, nobody knows which others will follow.
 */
export function placeGuardsLast(type: Type): void {
  const prototype = type.prototype as Record<string | symbol, unknown>;
  for (const { key } of recordsOf(prototype)) {
    const handler = prototype[key];
    if (typeof handler !== 'function' || !hasOurGuard(handler)) continue;
    const others = guardsOf(handler).filter((guard) => guard !== HandlerRateLimitGuard);
    Reflect.defineMetadata(GUARDS_METADATA, [...others, HandlerRateLimitGuard], handler);
  }
}

function guardsOf(handler: object): readonly unknown[] {
  const guards: unknown = Reflect.getMetadata(GUARDS_METADATA, handler);
  return Array.isArray(guards) ? guards : [];
}
