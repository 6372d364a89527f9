import type { ExecutionContext } from '@nestjs/common';
import { Call, type Invoke } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { PermitWait } from '../core/permit-wait.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import type { LimitInForce } from './response-headers.js';

type RequestKey = (context: ExecutionContext) => string | undefined;
type Skip = (context: ExecutionContext) => boolean;
type Taken = Exclude<ReturnType<RateLimitPolicy['enter']>, PermitWait<unknown>>;

/**
 * Takes a request's share of each limit; at once, unless one lets it wait. Where one refuses, the others get theirs back.
 *
 * @throws RateLimitExceededError
 */
export function takeRequestLimits(
  policies: readonly RateLimitPolicy[],
  context: ExecutionContext,
  clock: Clock,
): LimitInForce[] | Promise<LimitInForce[]> {
  return new RequestLimits(policies, context, clock).takeFrom(0);
}

class RequestLimits {
  private readonly taken: {
    readonly policy: RateLimitPolicy;
    readonly key: string;
    readonly share: Taken;
  }[] = [];

  constructor(
    private readonly policies: readonly RateLimitPolicy[],
    private readonly context: ExecutionContext,
    private readonly clock: Clock,
  ) {}

  takeFrom(first: number): LimitInForce[] | Promise<LimitInForce[]> {
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
    return this.taken.map(({ policy, key }) => ({ policy, decision: policy.look(key) }));
  }

  private take(policy: RateLimitPolicy): Promise<void> | undefined {
    const { by, skip } = policy.requestKey as { by: RequestKey; skip?: Skip };
    if (skip?.(this.context) === true) return undefined;
    const key = by(this.context);
    if (key === undefined) return undefined;
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
