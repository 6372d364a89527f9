import type { routes } from '../database/schema.js';

/** What a route is found by. */
export interface RouteKey {
  readonly tenant: string;
  readonly service: string;
  readonly env: string;
  readonly version: string;
}

/** A route as the registry keeps it. */
export type Route = typeof routes.$inferSelect;

/** What a client asks to be registered. */
export interface NewRoute extends RouteKey {
  readonly url: string;
}

/** What a client learns when it asks where to go. */
export interface ResolvedRoute extends RouteKey {
  readonly url: string;
  /** Who answered, where it was not the database. */
  readonly source?: 'replica' | 'cache_fallback';
}

export function keyOf({ tenant, service, env, version }: RouteKey): RouteKey {
  return { tenant, service, env, version };
}

/** A route key as one line of text, for people. */
export function routeName({ tenant, service, env, version }: RouteKey): string {
  return `${tenant}/${service}/${env}/${version}`;
}
