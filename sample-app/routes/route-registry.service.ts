import { createHash, randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Bulkhead, CircuitBreaker, Idempotent, Retry, Timeout, type CallInfo } from 'nestjs-breakwater';
import { AuditRelay } from '../audit/audit.relay.js';
import { RouteCache } from './route-cache.js';
import { keyOf, type NewRoute, type Route, type RouteKey } from './route.js';
import { RoutesRepository, type Change } from './routes.repository.js';

/** A request to register a route. */
export interface Registration extends Change {
  /** The same for each repetition of one request, by its idempotency key. */
  readonly id: string;
  readonly idempotencyKey: string | undefined;
}

/** The write path. */
@Injectable()
export class RouteRegistryService {
  constructor(
    private readonly routes: RoutesRepository,
    private readonly cache: RouteCache,
    private readonly audit: AuditRelay,
  ) {}

  /** Adds a route, once however often it is asked; the route of somebody else where the key is taken. */
  @Idempotent('route_registration', {
    key: idempotencyKeyOf,
    fingerprint: ({ args }: CallInfo) => JSON.stringify(args[0]),
    onMissingKey: 'pass',
    wait: '5s',
    shared: true,
  })
  @Retry('database_writes', { maxRetries: 2, baseDelay: '100ms', budget: 'database' })
  @Bulkhead('write_operations')
  @CircuitBreaker('database')
  @Timeout({ name: 'database_writes', duration: '5s' })
  async register(route: NewRoute, registration: Registration): Promise<Route> {
    const found = await this.routes.insert({ ...route, id: registration.id }, registration);
    await this.changed(route);
    return found;
  }

  /** Switches a route on or off; `undefined` where there is none. Doing so twice changes nothing more. */
  @Retry('database_writes')
  @Bulkhead('write_operations')
  @CircuitBreaker('database')
  @Timeout({ name: 'database_writes', duration: '5s' })
  async switch(
    key: RouteKey,
    action: 'activated' | 'deactivated',
    change: Change,
  ): Promise<Route | undefined> {
    const route = await this.routes.switch(key, action, change);
    if (route !== undefined) await this.changed(key);
    return route;
  }

  private async changed(key: RouteKey): Promise<void> {
    // A reader that asked before the change may still remember the old route; `FOUND_MS` is how long.
    await this.cache.forget(keyOf(key));
    this.audit.wake();
  }
}

/**
 * The id of a registration. With an idempotency key it follows from that, so that even after a restart, when no memory
 * of the first request is left, its repetition finds its own route.
 */
export function registrationId(tenant: string, idempotencyKey: string | undefined): string {
  if (idempotencyKey === undefined) return randomUUID();
  const hash = createHash('sha256').update(`${tenant}\n${idempotencyKey}`).digest('hex');
  // As a UUID of version 8: one of our own making (RFC 9562).
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `a${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}

function idempotencyKeyOf({ args }: CallInfo): string | undefined {
  const [route, { idempotencyKey }] = args as [NewRoute, Registration];
  return idempotencyKey === undefined ? undefined : `${route.tenant}:${idempotencyKey}`;
}
