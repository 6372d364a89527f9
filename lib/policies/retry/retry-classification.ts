import type { Call } from '../../core/call.js';
import { causes, codeOf, statusOf } from '../../core/classify.js';
import { InvalidOptionsError, RateLimitExceededError, isRejection } from '../../core/errors.js';
import type { RetrySettings } from './retry.options.js';

/** What is final; every field may be added to. @publicApi */
export interface FinalErrors {
  /** The `name` of an error. */
  readonly names: Set<string>;
  /** Codes by their beginning; Node's own `ERR_*` mean a mistake in the program … */
  readonly codePrefixes: string[];
  /** … but for those that mean the network. */
  readonly transientCodePrefixes: string[];
}

/**
 * What is not worth trying again where an error has no HTTP status: an error that says somebody gave up, or that the
 * program is wrong, itself or as a cause. Everything that no row names is retried. It holds for all retries of the
 * process and may be added to, best before the first call; for one policy there is `abortOn`.
 *
 * @example
 * FINAL_ERRORS.names.add('ValidationError');
 *
 * @publicApi
 */
export const FINAL_ERRORS: FinalErrors = {
  names: new Set(['AbortError']),
  codePrefixes: ['ERR_'],
  transientCodePrefixes: [
    'ERR_NETWORK',
    'ERR_SOCKET',
    'ERR_STREAM',
    'ERR_HTTP2',
    'ERR_TLS',
    'ERR_SSL',
    'ERR_HTTP_REQUEST_TIMEOUT',
  ],
};

/** The first status that says that something went wrong. */
const FIRST_FAILURE = 400;

/** Whether what a method threw is worth another attempt. Throws what a user's matcher throws. */
export function isRetryable(settings: RetrySettings, call: Call, error: unknown): boolean {
  if (settings.abortOn?.(error, call) === true) return false;
  if (settings.retryOn?.(error, call) === true) return true;
  if (error instanceof InvalidOptionsError) return false;
  // Whether its wait fits is decided with the delay.
  if (isRejection(error)) return error instanceof RateLimitExceededError && settings.retryOn === undefined;
  const status = firstStatus(error);
  if (status !== undefined) return isRetryableStatus(settings, call, status);
  return settings.retryOn === undefined && !isFinal(error);
}

/** What the call says of statuses comes first; with `retryOn` alone no status means anything. */
function isRetryableStatus(settings: RetrySettings, call: Call, status: number): boolean {
  const statuses = call.options.retryOnStatus;
  if (statuses !== undefined) return statuses.includes(status);
  if (settings.retryOn !== undefined && !settings.statusGiven) return false;
  return settings.retryOnStatus.has(status);
}

/** Whether a returned response means what an error of its status would mean. */
export function isRetryableResult(settings: RetrySettings, call: Call, value: unknown): boolean {
  const { abortOn, retryOn, retryOnResult } = settings;
  const status = responseStatus(value);
  // Matchers of errors are written for errors.
  const failed = status !== undefined && status >= FIRST_FAILURE;
  const error = failed && (abortOn ?? retryOn) !== undefined ? errorOf(value, status) : undefined;
  if (error !== undefined && abortOn?.(error, call) === true) return false;
  if (retryOnResult?.(value, call) === true) return true;
  if (status === undefined) return false;
  if (error !== undefined && retryOn?.(error, call) === true) return true;
  return isRetryableStatus(settings, call, status);
}

function responseStatus(value: unknown): number | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { status, statusCode } = value as { status?: unknown; statusCode?: unknown };
  const given = typeof status === 'number' ? status : statusCode;
  return typeof given === 'number' ? given : undefined;
}

/** A returned response as the error that clients of another kind would have thrown. */
function errorOf(response: unknown, status: number): Error {
  return Object.assign(new Error(`The answer had status ${status}.`), { status, response });
}

/** The HTTP status of an error, or of the nearest of its causes that has one. */
export function firstStatus(error: unknown): number | undefined {
  for (const link of causes(error)) {
    const status = statusOf(link);
    if (status !== undefined) return status;
  }
  return undefined;
}

function isFinal(error: unknown): boolean {
  return causes(error).some((link) => {
    const name = (link as { name?: unknown } | null | undefined)?.name;
    if (typeof name === 'string' && FINAL_ERRORS.names.has(name)) return true;
    const code = codeOf(link);
    if (code === undefined) return false;
    const begins = (prefix: string) => code.startsWith(prefix);
    return FINAL_ERRORS.codePrefixes.some(begins) && !FINAL_ERRORS.transientCodePrefixes.some(begins);
  });
}
