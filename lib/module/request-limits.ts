import type { ExecutionContext } from '@nestjs/common';
import { Call, type Invoke } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import type { RateLimitPolicy } from '../policies/rate-limit/index.js';
import type { LimitInForce } from './response-headers.js';

type RequestKey = (context: ExecutionContext) => string | undefined;
type Skip = (context: ExecutionContext) => boolean;

/**
 * Takes a request's share of each limit. Where one refuses, the others get theirs back.
 *
 * @throws RateLimitExceededError
 */
export async function takeRequestLimits(
  policies: readonly RateLimitPolicy[],
  context: ExecutionContext,
  clock: Clock,
): Promise<LimitInForce[]> {
  const undo: (() => void)[] = [];
  const applied: LimitInForce[] = [];
  try {
    for (const policy of policies) {
      const { by, skip } = policy.requestKey as { by: RequestKey; skip?: Skip };
      if (skip?.(context) === true) continue;
      const key = by(context);
      if (key === undefined) continue;
      const call = new Call(nothing, undefined, [context], { key });
      const taken = await policy.enter(call, clock.now());
      undo.push(() => policy.cancel(taken));
      applied.push({ policy, decision: policy.look(key) });
    }
  } catch (error) {
    for (const giveBack of undo) giveBack();
    throw error;
  }
  return applied;
}

const nothing: Invoke = () => undefined;
