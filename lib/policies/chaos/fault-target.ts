import { either } from '../../core/option-form.js';
import type { Policy, PolicyKind } from '../../core/policy.js';
import { suggest } from '../../core/suggest.js';

/**
 * What a fault is for: a name of a pipeline (`Class.method`) or of a policy, which means every pipeline that holds it; a
 * policy of one kind; a pipeline alone. In a name `*` stands for anything: `'PaymentsService.*'`.
 *
 * @publicApi
 */
export type FaultTarget =
  string | { readonly kind: PolicyKind; readonly name: string } | { readonly pipeline: string };

/** The kinds of policies that stand in pipelines, so that a target can name one. */
export const TARGET_KINDS: readonly Exclude<PolicyKind, 'retryBudget'>[] = [
  'fallback',
  'idempotency',
  'timeout',
  'retry',
  'hedge',
  'rateLimit',
  'bulkhead',
  'circuitBreaker',
  'chaos',
];

/** A pipeline that faults can join. */
export interface Joinable {
  /** `PaymentsService.charge`, or the name of a pipeline of functions. */
  readonly name: string;
  readonly policies: readonly Policy[];
}

export function holdsAny({ policies }: Joinable, wanted: readonly Policy[]): boolean {
  return policies.some((policy) => wanted.includes(policy));
}

/** Tells what is meant by a target. */
export class TargetMatcher {
  private readonly pattern: RegExp;

  constructor(readonly target: FaultTarget) {
    const parts = nameOf(target)
      .split('*')
      .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    this.pattern = new RegExp(`^${parts.join('.*')}$`, 's');
  }

  matches(pipeline: Joinable): boolean {
    return this.meansPipeline(pipeline.name) || pipeline.policies.some((policy) => this.meansPolicy(policy));
  }

  /** Whether it means a pipeline by its own name. */
  meansPipeline(name: string): boolean {
    return (typeof this.target === 'string' || 'pipeline' in this.target) && this.pattern.test(name);
  }

  meansPolicy({ kind, name }: Policy): boolean {
    const { target } = this;
    if (typeof target !== 'string' && (!('kind' in target) || target.kind !== kind)) return false;
    return this.pattern.test(name);
  }
}

function nameOf(target: FaultTarget): string {
  if (typeof target === 'string') return target;
  return 'pipeline' in target ? target.pipeline : target.name;
}

/** A target as a sentence shows it. */
export function showTarget(target: FaultTarget): string {
  const name = JSON.stringify(nameOf(target));
  if (typeof target === 'string') return name;
  return `${'pipeline' in target ? 'pipeline' : target.kind} ${name}`;
}

/** What to say of a target that nothing answers to: the names that are near, else some that there are. */
export function unknownTarget(target: FaultTarget, names: readonly string[]): string {
  return `Nothing that is protected answers to ${showTarget(target)}. ${hintAt(nearest(nameOf(target), names), names)}`;
}

const MOST_NEAR = 3;
const MOST_SHOWN = 10;

function nearest(name: string, names: readonly string[]): string[] {
  const near: string[] = [];
  const left = new Set(names);
  while (near.length < MOST_NEAR) {
    const found = suggest(name, left);
    if (found === undefined) break;
    near.push(found);
    left.delete(found);
  }
  return near;
}

function hintAt(near: readonly string[], names: readonly string[]): string {
  const quoted = (list: readonly string[]) => list.map((one) => JSON.stringify(one));
  if (near.length > 0) return `Did you mean ${either(quoted(near))}?`;
  if (names.length === 0) return 'No method is protected yet.';
  const more = names.length > MOST_SHOWN ? ` and ${names.length - MOST_SHOWN} more` : '';
  return `There are ${quoted(names.slice(0, MOST_SHOWN)).join(', ')}${more}.`;
}
