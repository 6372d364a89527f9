import { attempts, attemptsOf, retriesOf, type Application, type ProtectedCode } from '../application.js';
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

/** Finds, from each retried method, the chain of retried methods below it that multiplies most. */
class Chains {
  private readonly byMethod = new Map<object, Map<string, ProtectedCode>>();

  constructor(
    private readonly calls: Application['calls'],
    retried: readonly ProtectedCode[],
  ) {
    for (const code of retried) {
      if (code.type === undefined) continue;
      const byKey = this.byMethod.get(code.type) ?? new Map<string, ProtectedCode>();
      this.byMethod.set(code.type, byKey.set(String(code.key), code));
    }
  }

  /** The chain that begins with `code`. */
  from(code: ProtectedCode): ProtectedCode[] {
    const method = code.type && this.calls.find(code.type, String(code.key));
    return method === undefined ? [code] : this.longest(method, new Set(), new Map());
  }

  /** Circles are walked once: a method that is on the way already adds nothing. */
  private longest(
    method: Method,
    onTheWay: Set<string>,
    known: Map<string, ProtectedCode[]>,
  ): ProtectedCode[] {
    const id = `${this.numberOf(method.injectable.type)}.${method.key}`;
    const found = known.get(id);
    if (found !== undefined) return found;
    if (onTheWay.has(id)) return [];
    onTheWay.add(id);
    let best: ProtectedCode[] = [];
    for (const called of this.calls.calledBy(method)) {
      const chain = this.longest(called, onTheWay, known);
      if (productOf(chain) > productOf(best)) best = chain;
    }
    onTheWay.delete(id);
    const own = this.byMethod.get(method.injectable.type)?.get(method.key);
    const chain = own === undefined ? best : [own, ...best];
    known.set(id, chain);
    return chain;
  }

  private readonly numbers = new Map<object, number>();

  private numberOf(type: object): number {
    let number = this.numbers.get(type);
    if (number === undefined) this.numbers.set(type, (number = this.numbers.size));
    return number;
  }
}
