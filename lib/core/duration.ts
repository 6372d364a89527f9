import ms from 'ms';

export const US_PER_MS = 1_000;

/**
 * Milliseconds, or what the package `ms` reads: `'250ms'`, `'30s'`, `'1.5h'`, `'2 days'`. Any string type-checks, because
 * most come from configuration; one that is no duration is refused at start.
 *
 * @publicApi
 */
export type Duration = number | string;

/** The duration in milliseconds; `undefined` where it is none: not readable, negative, NaN or infinite. */
export function parseDuration(value: unknown): number | undefined {
  const parsed = typeof value === 'string' ? readString(value) : value;
  if (typeof parsed !== 'number' || !Number.isFinite(parsed) || parsed < 0) return undefined;
  return parsed;
}

// `ms` throws on an empty string and answers undefined to one that it does not understand, which its types do not say.
function readString(text: string): number | undefined {
  const read: (text: ms.StringValue) => number | undefined = ms;
  return text === '' ? undefined : read(text as ms.StringValue);
}

const UNITS: readonly (readonly [name: string, unitMs: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
];

/** A duration for people: `30 s`, `250 ms`, `1.5 s`, `2 min`; in the largest unit that needs one decimal at most. */
export function formatDuration(durationMs: number): string {
  if (!Number.isFinite(durationMs)) return String(durationMs);
  for (const [name, unitMs] of UNITS) {
    const tenths = (durationMs * 10) / unitMs;
    if (Math.abs(tenths) >= 10 && Number.isInteger(tenths)) return `${tenths / 10} ${name}`;
  }
  if (Math.abs(durationMs) >= 1_000) return `${rounded(durationMs / 1_000)} s`;
  return `${rounded(durationMs)} ms`;
}

function rounded(value: number): number {
  return Math.abs(value) < 1 ? Number(value.toPrecision(3)) : Math.round(value * 1_000) / 1_000;
}
