import { answerOf, propertyOf } from './property.js';

const HEADER = 'retry-after';
const SECONDS = /^\d+(\.\d+)?$/;
// What `Date.parse` reads beyond HTTP dates is not reliable: it finds a date in "retry in 5 minutes".
const HTTP_DATE = /^(mon|tue|wed|thu|fri|sat|sun)[a-z]*,? /i;

/** What an error or a response says about trying again, as it stands there: a header's value, or undefined. */
export function retryAfterHeaderOf(value: unknown): unknown {
  return (
    headerOf(propertyOf(value, 'headers')) ??
    headerOf(propertyOf(propertyOf(value, 'response'), 'headers')) ??
    propertyOf(answerOf(value, 'getResponse'), 'retryAfter')
  );
}

/**
 * `Retry-After` in milliseconds from now: seconds, or an HTTP date; 0 where that has passed, undefined for garbage.
 *
 * @param wallTime the present, in milliseconds since 1970
 */
export function parseRetryAfter(value: unknown, wallTime: number): number | undefined {
  if (Array.isArray(value)) return parseRetryAfter(value[0], wallTime);
  if (typeof value === 'number') return value >= 0 && Number.isFinite(value) ? value * 1_000 : undefined;
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  if (SECONDS.test(text)) return Number(text) * 1_000;
  if (!HTTP_DATE.test(text)) return undefined;
  // The oldest of the three forms names no zone; all three mean UTC.
  const date = Date.parse(/gmt$/i.test(text) ? text : `${text} GMT`);
  return Number.isNaN(date) ? undefined : Math.max(0, date - wallTime);
}

/** From `Headers` and `AxiosHeaders` (which ignore case themselves), a `Map`, or a plain object. */
function headerOf(headers: unknown): unknown {
  if (typeof headers !== 'object' || headers === null) return undefined;
  if (headers instanceof Map) return entryOf(headers.entries());
  if (typeof propertyOf(headers, 'get') === 'function') {
    return answerOf(headers, 'get', HEADER) ?? undefined;
  }
  return entryOf(Object.entries(headers));
}

function entryOf(entries: Iterable<readonly [unknown, unknown]>): unknown {
  for (const [name, value] of entries) {
    if (typeof name === 'string' && name.toLowerCase() === HEADER) return value;
  }
  return undefined;
}
