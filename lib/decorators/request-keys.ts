import { isIPv4, isIPv6 } from 'node:net';
import type { ExecutionContext } from '@nestjs/common';
import { sharedState } from '../core/identity.js';
import { propertyOf } from '../core/property.js';

/** What these functions read of a request; Express and Fastify both have it. */
interface RequestLike {
  readonly ip?: string;
  readonly headers?: Readonly<Record<string, string | string[] | undefined>>;
  readonly user?: unknown;
  readonly socket?: { readonly remoteAddress?: string };
}

type RequestKey = (context: ExecutionContext) => string | undefined;

const keysBeforeGuards = sharedState('keys-before-guards', () => new WeakMap<RequestKey, RequestKey>());

/** The key of a request that other guards have yet to look at: of {@link byUser}, a user's only, and no address in its place. */
export function keyBeforeGuards(by: RequestKey): RequestKey {
  return keysBeforeGuards.get(by) ?? by;
}

const httpKeys = sharedState('http-keys', () => new WeakMap<object, string>());

/** How a user writes a key of this file, `byIp()`: one that there is for HTTP requests only. */
export function httpKeyOf(by: unknown): string | undefined {
  return typeof by === 'function' ? httpKeys.get(by) : undefined;
}

function httpKey(written: string, by: RequestKey): RequestKey {
  httpKeys.set(by, written);
  return by;
}

/** The HTTP request of a context, of GraphQL over HTTP too. */
function requestOfContext(context: ExecutionContext): RequestLike | undefined {
  if (context.getType<string>() === 'graphql') {
    return context.getArgByIndex<{ req?: RequestLike } | undefined>(2)?.req;
  }
  return context.getType() === 'http' ? context.switchToHttp().getRequest<RequestLike>() : undefined;
}

/**
 * The client's address; of IPv6 the /64 network, which is what one client has. Behind proxies, set `trustedProxies` to
 * how many of yours stand in front: the address is then read from `X-Forwarded-For`, so many places from its end, without its port.
 *
 * @example
 * @RateLimit({ limit: 100, by: byIp({ trustedProxies: 1 }) })
 *
 * @publicApi
 */
export function byIp(
  options: { trustedProxies?: number } = {},
): (context: ExecutionContext) => string | undefined {
  const { trustedProxies = 0 } = options;
  return httpKey('byIp()', (context) => {
    const request = requestOfContext(context);
    const address = trustedProxies > 0 ? forwardedFor(request, trustedProxies) : undefined;
    return network(address ?? request?.socket?.remoteAddress ?? request?.ip);
  });
}

/** A header's value. Without it a request is not limited: pair it with a limit by address. @publicApi */
export function byHeader(name: string): (context: ExecutionContext) => string | undefined {
  const header = name.toLowerCase();
  return httpKey('byHeader()', (context) => first(requestOfContext(context)?.headers?.[header]));
}

/**
 * A field of `request.user`, by default its `id`, else its `sub`, once the guards of the handler have run; without a user
 * the request is limited by address, which `options` say how to find ({@link byIp}).
 *
 * @publicApi
 */
export function byUser(
  field?: string,
  options: { trustedProxies?: number } = {},
): (context: ExecutionContext) => string | undefined {
  const address = byIp(options);
  const userOf: RequestKey = (context) => {
    const user = requestOfContext(context)?.user;
    const id =
      field === undefined ? (propertyOf(user, 'id') ?? propertyOf(user, 'sub')) : propertyOf(user, field);
    return typeof id === 'string' || typeof id === 'number' ? `user:${id}` : undefined;
  };
  const by = httpKey('byUser()', (context) => userOf(context) ?? address(context));
  keysBeforeGuards.set(by, userOf);
  return by;
}

/** The tenant that a header names, by default `X-Tenant-Id`. @publicApi */
export function byTenant(header = 'x-tenant-id'): (context: ExecutionContext) => string | undefined {
  const by = byHeader(header);
  return httpKey('byTenant()', (context) => by(context));
}

function forwardedFor(request: RequestLike | undefined, trustedProxies: number): string | undefined {
  const header = request?.headers?.['x-forwarded-for'];
  const hops = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((hop) => hop.trim());
  return withoutPort(hops.at(-trustedProxies) ?? '') || undefined;
}

/** Some proxies append the client's port, which is another one with each connection: `1.2.3.4:5678`, `[2001:db8::1]:5678`. */
function withoutPort(hop: string): string {
  const [, v6, v4] = /^(?:\[(.+)\](?::\d+)?|([\d.]+):\d+)$/.exec(hop) ?? [];
  if (v6 !== undefined && isIPv6(v6)) return v6;
  return v4 !== undefined && isIPv4(v4) ? v4 : hop;
}

function network(address: string | undefined): string | undefined {
  if (address === undefined || !isIPv6(address)) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped !== null) return mapped[1];
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = tail === undefined ? left : [...left, ...zeros(8 - left.length - right.length), ...right];
  return `${groups
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`;
}

function zeros(count: number): string[] {
  return new Array<string>(Math.max(0, count)).fill('0');
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
