import type { Clock, RandomSource } from './clock.js';
import { withoutStack } from './errors.js';
import type { EventHub } from './events.js';
import type { Policy } from './policy.js';
import type { Fleet } from './shared-state.js';
import { systemClock } from './system-clock.js';

/** What a policy needs from outside; everything has a default. @publicApi */
export interface PolicyEnvironment {
  /** Default: the system's monotonic clock. */
  readonly clock?: Clock | undefined;
  /** Default: `Math.random`. */
  readonly random?: RandomSource | undefined;
  /** Where events go; without it there are none. */
  readonly events?: EventHub | undefined;
  /** The instances that share state; without it every policy keeps to itself. */
  readonly fleet?: Fleet | undefined;
  /** Whether rejections capture a stack; off, because that is most of their price. */
  readonly stackTraces?: boolean | undefined;
}

export const clockOf = (environment: Pick<PolicyEnvironment, 'clock'> | undefined): Clock =>
  environment?.clock ?? systemClock;

export const randomOf = (environment: PolicyEnvironment | undefined): RandomSource =>
  environment?.random ?? Math.random;

/** Builds a rejection, with a stack only where somebody wants to see one. */
export function buildRejection<E extends Error>(
  environment: PolicyEnvironment | undefined,
  build: () => E,
): E {
  return environment?.stackTraces === true ? build() : withoutStack(build);
}

/** Tells whoever listens what has happened to a policy. Nothing is built, and no clock read, where nobody wants it. */
export function announce(
  environment: PolicyEnvironment | undefined,
  { kind, name }: Pick<Policy, 'kind' | 'name'>,
  type: string,
  details?: () => Readonly<Record<string, unknown>>,
): void {
  const events = environment?.events;
  if (events?.active !== true || !events.wants(kind, type)) return;
  const event = { kind, policy: name, type, at: clockOf(environment).now() };
  events.emit(details === undefined ? event : { ...event, details: details() });
}
