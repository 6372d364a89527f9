import type { Circuit, CircuitState } from './circuit.js';

/** How many circuits are looked at to make room for a new key before the overflow circuit serves it. */
const EVICTION_LOOKS = 16;
const OVERFLOW = '(overflow)';
const STATS_KEYS = 100;

/**
 * One circuit per key, bounded in number. Only idle circuits make room; where none can, new keys share one overflow
 * circuit, so that a flood of keys can neither fill the memory nor reset a circuit that is open.
 */
export class KeyedCircuits {
  private readonly circuits = new Map<string, Circuit>();
  private overflow: Circuit | undefined;

  constructor(
    private maxKeys: number,
    private readonly create: (key: string) => Circuit,
  ) {}

  of(key: string): Circuit {
    const known = this.circuits.get(key);
    if (known !== undefined) return known;
    if (this.circuits.size >= this.maxKeys && !this.makeRoom()) return this.overflowCircuit();
    const circuit = this.create(key);
    this.circuits.set(key, circuit);
    return circuit;
  }

  forEach(visit: (circuit: Circuit) => void): void {
    this.circuits.forEach(visit);
    if (this.overflow !== undefined) visit(this.overflow);
  }

  clear(): void {
    this.circuits.clear();
    this.overflow = undefined;
  }

  configure(maxKeys: number, visit: (circuit: Circuit) => void): void {
    this.maxKeys = maxKeys;
    this.forEach(visit);
  }

  stats(): { count: number; notClosed: Record<string, CircuitState> } {
    const notClosed: Record<string, CircuitState> = {};
    let listed = 0;
    this.forEach((circuit) => {
      if (circuit.state === 'closed' || listed >= STATS_KEYS) return;
      notClosed[circuit.key as string] = circuit.state;
      listed++;
    });
    return { count: this.circuits.size, notClosed };
  }

  /** Drops one idle circuit of the longest known; those looked at in vain go to the back. */
  private makeRoom(): boolean {
    let looks = 0;
    for (const [key, circuit] of this.circuits) {
      this.circuits.delete(key);
      if (circuit.idle) return true;
      this.circuits.set(key, circuit);
      if (++looks >= EVICTION_LOOKS) return false;
    }
    return false;
  }

  private overflowCircuit(): Circuit {
    if (this.overflow === undefined) {
      process.emitWarning(
        `A keyed circuit breaker reached ${this.maxKeys} keys, none of them idle; new keys share one circuit.`,
        'ResilienceWarning',
      );
      this.overflow = this.create(OVERFLOW);
    }
    return this.overflow;
  }
}
