import type { CallDurations } from '../core/call-durations.js';
import type { Clock } from '../core/clock.js';
import { Pipeline, completeOrder } from '../pipeline/index.js';
import type { FaultInjector } from '../policies/chaos/fault-injector.js';
import { RateLimitPolicy } from '../policies/rate-limit/index.js';
import { isRequestLimit, policiesOf, type MethodPlan } from './method-plan.js';
import type { PolicyRegistry } from './policy-registry.js';
import type { ResilienceModuleOptions } from './resilience.options.js';

/** What runs around a handler, or around any other method. */
export interface Protection {
  readonly pipeline: Pipeline;
  /** Limits that apply once per request, outside everything. */
  readonly requestLimits: readonly RateLimitPolicy[];
  /** Limits of the pipeline that all calls share, so that an answer can say what is left. */
  readonly limits: readonly RateLimitPolicy[];
}

/** Makes the policies of a plan, or finds them, and composes them. */
export function protect(
  plan: MethodPlan,
  registry: PolicyRegistry,
  clock: Clock,
  options: Pick<ResilienceModuleOptions, 'enabled' | 'order'>,
  faults: FaultInjector,
  durations: CallDurations | undefined,
): Protection {
  const isOn = options.enabled !== false;
  const policies = isOn ? policiesOf(plan, registry) : [];
  const inside = policies.filter((policy) => !isRequestLimit(policy));
  const guests = isOn ? faults.join({ name: plan.name, policies: inside }) : undefined;
  return {
    pipeline: new Pipeline(
      plan.name,
      inside,
      clock,
      completeOrder(plan.order ?? options.order),
      guests,
      durations && ((next) => durations.time(plan.name, next)),
    ),
    requestLimits: policies.filter(isRequestLimit),
    limits: inside.filter(
      (policy): policy is RateLimitPolicy => policy instanceof RateLimitPolicy && !policy.isKeyed,
    ),
  };
}
