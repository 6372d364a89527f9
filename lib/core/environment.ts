import type { Clock, RandomSource } from './clock.js';
import type { EventHub } from './events.js';
import { systemClock } from './system-clock.js';

/** What a policy needs from outside; everything has a default. @publicApi */
export interface PolicyEnvironment {
  /** Default: the system's monotonic clock. */
  readonly clock?: Clock | undefined;
  /** Default: `Math.random`. */
  readonly random?: RandomSource | undefined;
  /** Where events go; without it there are none. */
  readonly events?: EventHub | undefined;
  /** Whether rejections capture a stack; off, because that is most of their price. */
  readonly stackTraces?: boolean | undefined;
}

export const clockOf = (environment: PolicyEnvironment | undefined): Clock =>
  environment?.clock ?? systemClock;

export const randomOf = (environment: PolicyEnvironment | undefined): RandomSource =>
  environment?.random ?? Math.random;
