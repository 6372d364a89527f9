import type { RandomSource } from '../../core/clock.js';
import type { Duration } from '../../core/duration.js';
import { formatDuration } from '../../core/duration.js';

/** Any time between two, each as likely as the others. @publicApi */
export interface UniformLatency {
  readonly min: Duration;
  readonly max: Duration;
}

/** Times around a mean, after Gauss; never below 0. @publicApi */
export interface NormalLatency {
  readonly mean: Duration;
  /** The standard deviation. */
  readonly deviation: Duration;
}

/** How long: always the same, or a distribution. @publicApi */
export type Latency = Duration | UniformLatency | NormalLatency;

/** A latency with its durations in milliseconds. */
export type LatencySettings =
  | number
  | { readonly min: number; readonly max: number }
  | { readonly mean: number; readonly deviation: number };

/** Milliseconds, drawn from the distribution. */
export function drawLatency(latency: LatencySettings, random: RandomSource): number {
  if (typeof latency === 'number') return latency;
  if ('min' in latency) return latency.min + (latency.max - latency.min) * random();
  // Box and Muller (1958); 1 - u, because a random number may be 0 but never 1.
  const radius = Math.sqrt(-2 * Math.log(1 - random()));
  return Math.max(0, latency.mean + latency.deviation * radius * Math.cos(2 * Math.PI * random()));
}

/** A latency for people. */
export function formatLatency(latency: LatencySettings): string {
  if (typeof latency === 'number') return formatDuration(latency);
  if ('min' in latency) return `${formatDuration(latency.min)} to ${formatDuration(latency.max)}`;
  return `${formatDuration(latency.mean)} ± ${formatDuration(latency.deviation)}`;
}
