import { RateLimitExceededError, type RateLimitDecision, type ResilienceError } from '../core/errors.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { retryAfterSeconds } from './error-translation.js';
import type { HttpOptions } from './resilience.options.js';

/** A response of any HTTP platform, seen through its adapter. */
export interface HeaderWriter {
  isHeadersSent(response: unknown): boolean;
  setHeader(response: unknown, name: string, value: string): unknown;
}

/** A limit and what it decided. */
export interface LimitInForce {
  readonly policy: Pick<RateLimitPolicy, 'name' | 'limit' | 'windowMs'>;
  readonly decision: RateLimitDecision;
}

type Style = NonNullable<HttpOptions['rateLimitHeaders']>;

/** The headers that answers carry for policies. A response that has begun is left alone. */
export class ResponseHeaders {
  /** By response: limits of a guard, of interceptors and of the handler stand side by side. */
  private readonly inForce = new WeakMap<object, Map<string, LimitInForce>>();

  constructor(
    private readonly writer: HeaderWriter,
    private readonly style: Style,
  ) {}

  /** Whether limits show at all. */
  get showLimits(): boolean {
    return this.style !== 'none';
  }

  /**
   * Says how much of its limits a client has left: `RateLimit` and `RateLimit-Policy` after the IETF draft
   * draft-ietf-httpapi-ratelimit-headers-10, one member per limit, and the older `X-RateLimit-*` for the tightest one.
   */
  writeLimits(response: unknown, applied: readonly LimitInForce[]): void {
    if (applied.length === 0 || !this.showLimits || !this.isOpen(response)) return;
    const known = this.inForce.get(response) ?? new Map<string, LimitInForce>();
    this.inForce.set(response, known);
    for (const limit of applied) known.set(limit.policy.name, limit);
    const limits = [...known.values()];
    if (this.style !== 'legacy') {
      this.writer.setHeader(response, 'RateLimit-Policy', limits.map(policyMember).join(', '));
      this.writer.setHeader(response, 'RateLimit', limits.map(stateMember).join(', '));
    }
    if (this.style !== 'standard') this.writeLegacy(response, limits);
  }

  /** What an error asks for; `policy` is the limit behind it, where there is one. */
  writeError(response: unknown, error: ResilienceError, policy: LimitInForce['policy'] | undefined): void {
    if (!this.isOpen(response)) return;
    if (error.retryAfterMs !== undefined) {
      this.writer.setHeader(response, 'Retry-After', retryAfterSeconds(error.retryAfterMs));
    }
    if (error instanceof RateLimitExceededError && error.decision !== undefined && policy !== undefined) {
      this.writeLimits(response, [{ policy, decision: error.decision }]);
    }
  }

  /** Says that a fallback served the answer. */
  writeDegraded(response: unknown, level: string): void {
    if (!this.isOpen(response)) return;
    this.writer.setHeader(response, 'X-Degraded-Mode', 'true');
    this.writer.setHeader(response, 'X-Degraded-Level', level);
  }

  private isOpen(response: unknown): response is object {
    return typeof response === 'object' && response !== null && !this.writer.isHeadersSent(response);
  }

  private writeLegacy(response: unknown, limits: readonly LimitInForce[]): void {
    const { decision } = limits.reduce((a, b) => (b.decision.remaining < a.decision.remaining ? b : a));
    this.writer.setHeader(response, 'X-RateLimit-Limit', String(decision.limit));
    this.writer.setHeader(response, 'X-RateLimit-Remaining', String(decision.remaining));
    if (Number.isFinite(decision.resetMs)) {
      this.writer.setHeader(response, 'X-RateLimit-Reset', String(Math.ceil(decision.resetMs / 1000)));
    }
  }
}

function policyMember({ policy }: LimitInForce): string {
  const seconds = Math.max(1, Math.round(policy.windowMs / 1000));
  return `${quoted(policy.name)};q=${policy.limit}${Number.isFinite(seconds) ? `;w=${seconds}` : ''}`;
}

function stateMember({ policy, decision }: LimitInForce): string {
  const reset = Number.isFinite(decision.resetMs) ? `;t=${Math.ceil(decision.resetMs / 1000)}` : '';
  return `${quoted(policy.name)};r=${decision.remaining}${reset}`;
}

/** A string of structured fields (RFC 8941): printable ASCII, in quotes. */
function quoted(name: string): string {
  return `"${name.replace(/[^\x20-\x7e]/g, '?').replace(/["\\]/g, '\\$&')}"`;
}
