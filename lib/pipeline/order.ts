import type { OptionProblem } from '../core/errors.js';
import { suggest } from '../core/suggest.js';

/** The places of a pipeline. A timeout takes two: for all attempts, and for one. @publicApi */
export type PipelineSlot =
  | 'fallback'
  | 'idempotency'
  | 'totalTimeout'
  | 'retry'
  | 'hedge'
  | 'rateLimit'
  | 'bulkhead'
  | 'circuitBreaker'
  | 'timeout'
  | 'chaos';

/**
 * Outermost first. Waiting in back-off holds no slot of a bulkhead; the breaker is asked last, when the call really
 * starts, and measures the call and not the queue.
 */
export const DEFAULT_ORDER: readonly PipelineSlot[] = [
  'fallback',
  'idempotency',
  'totalTimeout',
  'retry',
  'hedge',
  'rateLimit',
  'bulkhead',
  'circuitBreaker',
  'timeout',
  'chaos',
];

/**
 * The whole order that a user's order means: the slots that it names, in its order, take the places that these slots
 * have in the default order; all others stay where they are.
 */
export function completeOrder(given: readonly PipelineSlot[] | undefined): readonly PipelineSlot[] {
  if (given === undefined) return DEFAULT_ORDER;
  const named = new Set(given);
  let next = 0;
  return DEFAULT_ORDER.map((slot) => (named.has(slot) ? (given[next++] as PipelineSlot) : slot));
}

/** Everything that is wrong with an order. */
export function orderProblems(given: unknown, where: string): OptionProblem[] {
  if (given === undefined) return [];
  const problem = (message: string): OptionProblem => ({ where, option: 'order', message });
  if (!Array.isArray(given)) return [problem(`"order" must be a list of ${DEFAULT_ORDER.join(', ')}.`)];
  const problems: OptionProblem[] = [];
  given.forEach((slot: unknown, index) => {
    if (!(DEFAULT_ORDER as readonly unknown[]).includes(slot)) {
      const meant = typeof slot === 'string' ? suggest(slot, DEFAULT_ORDER) : undefined;
      const hint =
        meant === undefined ? `it may hold ${DEFAULT_ORDER.join(', ')}` : `did you mean "${meant}"`;
      problems.push(problem(`"order" holds ${JSON.stringify(slot)}, which is no kind of policy; ${hint}.`));
    } else if (given.indexOf(slot) !== index) {
      problems.push(problem(`"order" holds "${String(slot)}" twice.`));
    }
  });
  return problems;
}
