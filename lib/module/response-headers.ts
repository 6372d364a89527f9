import type { RateLimitDecision } from '../core/errors.js';
import { RateLimitExceededError, type ResilienceError } from '../core/errors.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { retryAfterSeconds, type HeaderWriter } from './error-translation.js';
import type { HttpOptions } from './resilience.options.js';

/** A limit and what it decided. */
export interface LimitInForce {
  readonly policy: Pick<RateLimitPolicy, 'name' | 'limit' | 'windowMs'>;
  readonly decision: RateLimitDecision;
}

/**
 * Says in headers how much of its limits a client has left: `RateLimit` and `RateLimit-Policy` after the IETF draft
 * draft-ietf-httpapi-ratelimit-headers-10, one member per limit, and the older `X-RateLimit-*` for the tightest one.
 */
export function writeLimitHeaders(
  writer: HeaderWriter,
  response: unknown,
  style: NonNullable<HttpOptions['rateLimitHeaders']>,
  limits: readonly LimitInForce[],
): void {
  if (limits.length === 0 || style === 'none') return;
  if (style !== 'legacy') {
    const policies = limits.map(({ policy }) => {
      const window = Number.isFinite(policy.windowMs)
        ? `;w=${Math.max(1, Math.round(policy.windowMs / 1000))}`
        : '';
      return `${quoted(policy.name)};q=${policy.limit}${window}`;
    });
    const states = limits.map(({ policy, decision }) => {
      const reset = Number.isFinite(decision.resetMs) ? `;t=${Math.ceil(decision.resetMs / 1000)}` : '';
      return `${quoted(policy.name)};r=${decision.remaining}${reset}`;
    });
    writer.setHeader(response, 'RateLimit-Policy', policies.join(', '));
    writer.setHeader(response, 'RateLimit', states.join(', '));
  }
  if (style === 'standard') return;
  const { decision } = limits.reduce((a, b) => (b.decision.remaining < a.decision.remaining ? b : a));
  writer.setHeader(response, 'X-RateLimit-Limit', String(decision.limit));
  writer.setHeader(response, 'X-RateLimit-Remaining', String(decision.remaining));
  if (Number.isFinite(decision.resetMs)) {
    writer.setHeader(response, 'X-RateLimit-Reset', String(Math.ceil(decision.resetMs / 1000)));
  }
}

/** The headers that an error asks for. */
export function writeErrorHeaders(
  writer: HeaderWriter,
  response: unknown,
  style: NonNullable<HttpOptions['rateLimitHeaders']>,
  error: ResilienceError,
  policy: LimitInForce['policy'] | undefined,
): void {
  if (error.retryAfterMs !== undefined) {
    writer.setHeader(response, 'Retry-After', retryAfterSeconds(error.retryAfterMs));
  }
  if (error instanceof RateLimitExceededError && error.decision !== undefined && policy !== undefined) {
    writeLimitHeaders(writer, response, style, [{ policy, decision: error.decision }]);
  }
}

/** A string of structured fields (RFC 8941): printable ASCII, in quotes. */
function quoted(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
