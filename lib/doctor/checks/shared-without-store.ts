import type { Policy } from '../../core/policy.js';
import { POLICY_KINDS } from '../../module/policy-kinds.js';
import { isOfKind, type Application } from '../application.js';
import type { Finding } from '../finding.js';

/** What that means where ten instances run. */
const ALONE: Readonly<Partial<Record<Policy['kind'], string>>> = {
  bulkhead: 'each instance has slots of its own, so that ten let ten times as many calls run',
  rateLimit: 'each instance counts by itself, so that ten let ten times as many calls pass',
  circuitBreaker: 'each instance has to fail by itself before it opens',
  idempotency: 'a request that is repeated to another instance is done again',
  fallback: 'each instance has only answers that it has seen itself',
};

/** Policies that are said to be one for all instances, in an application that shares nothing. */
export function sharedWithoutStore({ hasSharedState, policies, protected: all }: Application): Finding[] {
  if (hasSharedState) return [];
  const used = all.flatMap(({ layers }) =>
    layers.flatMap(({ steps, requestLimits }) => [...requestLimits, ...steps.map(({ policy }) => policy)]),
  );
  return [...new Set([...policies, ...used])].filter(wantsToShare).map((policy) => ({
    code: 'shared-without-store',
    severity: 'warning',
    where: `${POLICY_KINDS[policy.kind].title} "${policy.name}"`,
    message: `It is "shared", and the application has no "sharedState": ${ALONE[policy.kind] ?? 'each instance is alone'}.`,
    advice: 'Give forRoot({ sharedState: redisState(…) }), or remove "shared".',
  }));
}

function wantsToShare(policy: Policy): boolean {
  if (isOfKind(policy, 'bulkhead')) return policy.configuration.leaseMs !== undefined;
  if (isOfKind(policy, 'rateLimit')) return policy.configuration.shared !== undefined;
  if (isOfKind(policy, 'circuitBreaker')) return policy.configuration.shared !== undefined;
  if (isOfKind(policy, 'idempotency')) return policy.configuration.shared !== false;
  return isOfKind(policy, 'fallback') && policy.sharesAnswers;
}
