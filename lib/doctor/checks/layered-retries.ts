import {
  attempts,
  attemptsOf,
  placed,
  retriesOf,
  type Application,
  type ProtectedCode,
} from '../application.js';
import type { Method } from '../call-graph.js';
import type { Finding } from '../finding.js';

const ADVICE =
  'Retry in one layer only, the one that knows what is safe to repeat; elsewhere remove @Retry or set "maxRetries: 0".';

/** Retries around the same work, one inside the other: the attempts multiply, and hit hardest what is failing already. */
export function layeredRetries(application: Application): Finding[] {
  return [...retriesAroundOne(application), ...retriesThroughCalls(application)];
}

/** Several retries in the layers of one method. */
function retriesAroundOne(application: Application): Finding[] {
  return application.protected.flatMap((code): Finding[] => {
    const retries = retriesOf(code);
    if (retries.length < 2) return [];
    const counts = retries.map(({ policy }) => attempts(policy));
    const message = `${retries.length} retries stand around the same method: up to ${counts.join(' × ')} = ${attemptsOf(code)} attempts for one call.`;
    return [{ code: 'layered-retries', severity: 'warning', where: code.name, message, advice: ADVICE }];
  });
}

/** A retried method that calls others, which are retried too. */
function retriesThroughCalls({ protected: all, calls }: Application): Finding[] {
  const retried = all.filter((code) => attemptsOf(code) > 1);
  if (retried.length < 2) return [];
  const chains = new Chains(calls, retried);
  const covered = new Set<ProtectedCode>();
  return retried
    .map((code) => chains.from(code))
    .toSorted((a, b) => b.length - a.length || productOf(b) - productOf(a))
    .flatMap((chain): Finding[] => {
      const [outermost] = chain;
      if (chain.length < 2 || outermost === undefined || covered.has(outermost)) return [];
      for (const code of chain) covered.add(code);
      const path = chain.map((code) => `${code.name} (${attemptsOf(code)} attempts)`).join(' → ');
      const message = `Retries in layers multiply: ${path}: up to ${productOf(chain)} attempts for one call.`;
      return [
        { code: 'layered-retries', severity: 'warning', where: outermost.name, message, advice: ADVICE },
      ];
    });
}

function productOf(chain: readonly ProtectedCode[]): number {
  return chain.reduce((product, code) => product * attemptsOf(code), 1);
}

type Known = Map<Method, ProtectedCode[] | undefined>;

/** Finds, from each retried method, the chain of retried methods below it that multiplies most. */
class Chains {
  private readonly retried = new Map<Method, ProtectedCode>();

  constructor(
    private readonly calls: Application['calls'],
    retried: readonly ProtectedCode[],
  ) {
    for (const code of retried) {
      const method = this.methodOf(code);
      if (method !== undefined) this.retried.set(method, code);
    }
  }

  /** The chain that begins with `code`. */
  from(code: ProtectedCode): ProtectedCode[] {
    const method = this.methodOf(code);
    return method === undefined ? [code] : [code, ...this.below(method, new Map())];
  }

  /** What goes on below a method and shows in it. Of what is being looked at nothing is known yet: circles end there. */
  private below(method: Method, known: Known): ProtectedCode[] {
    if (known.has(method)) return known.get(method) ?? [];
    known.set(method, undefined);
    let best: ProtectedCode[] = [];
    // An error that ends here is none that anything further out would retry.
    const called = this.calls.swallowsErrors(method) ? [] : this.calls.calledBy(method);
    for (const one of called) {
      const chain = this.through(one, known);
      if (productOf(chain) > productOf(best)) best = chain;
    }
    known.set(method, best);
    return best;
  }

  private through(method: Method, known: Known): ProtectedCode[] {
    const code = this.retried.get(method);
    if (known.has(method) && known.get(method) === undefined) return [];
    if (code === undefined) return this.below(method, known);
    return answersForRetries(code) ? [] : [code, ...this.below(method, known)];
  }

  private methodOf({ type, key }: ProtectedCode): Method | undefined {
    return type && this.calls.find(type, String(key));
  }
}

/** Whether a fallback stands outside the retries: its caller hears of no failure. */
function answersForRetries(code: ProtectedCode): boolean {
  const [outermost] = retriesOf(code);
  return placed(code, 'fallback').some(({ depth }) => outermost !== undefined && depth < outermost.depth);
}
