import { ResilienceError } from './errors.js';
import { answerOf, propertyOf } from './property.js';
import { parseRetryAfter, retryAfterHeaderOf } from './retry-after.js';

export { isThenable } from './property.js';

/** A chain of causes longer than this is cut off. */
const MOST_CAUSES = 8;

/** The error itself, then its `cause`, the cause's cause, and so on; each once, at most 8. */
export function causes(error: unknown): readonly unknown[] {
  const chain: unknown[] = [error];
  for (
    let cause = propertyOf(error, 'cause');
    cause !== undefined && cause !== null;
    cause = propertyOf(cause, 'cause')
  ) {
    if (chain.length === MOST_CAUSES || chain.includes(cause)) break;
    chain.push(cause);
  }
  return chain;
}

/**
 * The HTTP status that an error or a response carries, as fetch, undici, axios, superagent or Nest's `HttpException`
 * do: `status`, `statusCode`, the same below `response`, or `getStatus()`. Does not look at causes.
 */
export function statusOf(value: unknown): number | undefined {
  const response = propertyOf(value, 'response');
  return (
    asStatus(propertyOf(value, 'status')) ??
    asStatus(propertyOf(value, 'statusCode')) ??
    asStatus(propertyOf(response, 'status')) ??
    asStatus(propertyOf(response, 'statusCode')) ??
    asStatus(answerOf(value, 'getStatus'))
  );
}

/** The `code` of an error, such as `ECONNRESET` or `UND_ERR_SOCKET`, where it is a string. Does not look at causes. */
export function codeOf(value: unknown): string | undefined {
  const code = propertyOf(value, 'code');
  return typeof code === 'string' ? code : undefined;
}

/**
 * When an error or a response asks to be tried again, in milliseconds from now: 0 for an instant that has passed,
 * `Infinity` for never, `undefined` where it does not say. Reads our own errors, and `Retry-After` in seconds or as an
 * HTTP date (RFC 9110, 10.2.3) from `headers`, from `response.headers`, or from the body of a Nest `HttpException`
 * (`retryAfter`); a cause is asked where the error itself is silent.
 *
 * @param wallTime the present, in milliseconds since 1970
 */
export function retryAfterMsOf(value: unknown, wallTime: number): number | undefined {
  for (const link of causes(value)) {
    const retryAfterMs =
      link instanceof ResilienceError
        ? link.retryAfterMs
        : parseRetryAfter(retryAfterHeaderOf(link), wallTime);
    if (retryAfterMs !== undefined) return retryAfterMs;
  }
  return undefined;
}

/** Whether it can be an HTTP status. */
export function isStatus(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599;
}

function asStatus(value: unknown): number | undefined {
  return isStatus(value) ? value : undefined;
}
