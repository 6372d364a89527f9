import type { ExecutionContext } from '@nestjs/common';
import { Call, type Invoke } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { PermitWait } from '../core/permit-wait.js';
import { keyBeforeGuards } from '../decorators/request-keys.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import type { LimitInForce } from './response-headers.js';

type RequestKey = (context: ExecutionContext) => string | undefined;
type Skip = (context: ExecutionContext) => boolean;
type Taken = Exclude<ReturnType<RateLimitPolicy['enter']>, PermitWait<unknown>>;

/** What became of a request's limits. */
export interface TakenLimits {
  readonly applied: LimitInForce[];
  /** Those that found no key, and may find one behind the guards that follow. */
  readonly putOff: RateLimitPolicy[];
}

/**
 * Takes a request's share of each limit; at once, unless one lets it wait. Where one refuses, the others get theirs back.
 *
 * @param isLast - Whether no guard follows that could find a key.
 * @throws RateLimitExceededError
 */
export function takeRequestLimits(
  policies: readonly RateLimitPolicy[],
  context: ExecutionContext,
  clock: Clock,
  isLast: boolean,
): TakenLimits | Promise<TakenLimits> {
  return new RequestLimits(policies, context, clock, isLast).takeFrom(0);
}

class RequestLimits {
  private readonly taken: {
    readonly policy: RateLimitPolicy;
    readonly key: string;
    readonly share: Taken;
  }[] = [];
  private readonly putOff: RateLimitPolicy[] = [];

  constructor(
    private readonly policies: readonly RateLimitPolicy[],
    private readonly context: ExecutionContext,
    private readonly clock: Clock,
    private readonly isLast: boolean,
  ) {}

  takeFrom(first: number): TakenLimits | Promise<TakenLimits> {
    try {
      for (let i = first; i < this.policies.length; i++) {
        const waiting = this.take(this.policies[i] as RateLimitPolicy);
        if (waiting !== undefined) {
          return waiting.then(
            () => this.takeFrom(i + 1),
            (error: unknown) => this.giveBack(error),
          );
        }
      }
    } catch (error) {
      this.giveBack(error);
    }
    const applied = this.taken.map(({ policy, key }) => ({ policy, decision: policy.look(key) }));
    return { applied, putOff: this.putOff };
  }

  private take(policy: RateLimitPolicy): Promise<void> | undefined {
    const { by, skip } = policy.requestKey as { by: RequestKey; skip?: Skip };
    if (skip?.(this.context) === true) return undefined;
    const key = (this.isLast ? by : keyBeforeGuards(by))(this.context);
    if (key === undefined) {
      if (!this.isLast) this.putOff.push(policy);
      return undefined;
    }
    const share = policy.enter(new Call(nothing, undefined, [this.context], { key }), this.clock.now());
    if (share instanceof PermitWait) {
      return share.asPromise().then((granted) => {
        this.taken.push({ policy, key, share: granted });
      });
    }
    this.taken.push({ policy, key, share });
    return undefined;
  }

  private giveBack(error: unknown): never {
    for (const { policy, share } of this.taken) policy.cancel(share);
    throw error;
  }
}

const nothing: Invoke = () => undefined;
