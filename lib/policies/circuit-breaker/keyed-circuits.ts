import type { Circuit } from './circuit.js';
import { isOpen, type CircuitState } from './circuit-state.js';

const OVERFLOW = '(overflow)';
const STATS_KEYS = 100;
const ALWAYS = Number.NEGATIVE_INFINITY;

/** The circuits of a breaker with keys. @publicApi */
export interface KeyedCircuitStats {
  /** How many keys it knows. */
  readonly count: number;
  /** For how many it is open, by itself or by force. */
  readonly open: number;
  /** Those that are not closed, by key, at most 100 of them. */
  readonly notClosed: Readonly<Record<string, CircuitState>>;
}

/**
 * One circuit per key, bounded in number. Only idle circuits make room: closed, with no call inside and nothing against
 * them in their window. Where there is none, new keys share one overflow circuit, so that a flood of keys can neither
 * fill the memory nor make an open or a failing circuit forget.
 */
export class KeyedCircuits {
  private readonly circuits = new Map<string, Circuit>();
  private overflow: Circuit | undefined;
  /** Before this instant no circuit of a full map can be idle, unless a call comes back; so looking is pointless. */
  private fullUntil = ALWAYS;

  constructor(
    private maxKeys: number,
    private readonly create: (key: string, isOverflow: boolean) => Circuit,
    private readonly onOverflow: () => void,
    private readonly now: () => number,
  ) {}

  of(key: string): Circuit {
    const known = this.circuits.get(key);
    if (known !== undefined) return known;
    while (this.circuits.size >= this.maxKeys) if (!this.makeRoom()) return this.overflowCircuit();
    const circuit = this.create(key, false);
    this.circuits.set(key, circuit);
    this.lookAgain();
    return circuit;
  }

  /** A call has come back to a circuit, which may be idle now. */
  returned(circuit: Circuit): void {
    if (this.fullUntil === ALWAYS) return;
    const { idleAt } = circuit;
    if (idleAt < this.fullUntil) this.fullUntil = idleAt;
  }

  forEach(visit: (circuit: Circuit) => void): void {
    this.circuits.forEach(visit);
    if (this.overflow !== undefined) visit(this.overflow);
    this.lookAgain();
  }

  clear(): void {
    for (const { guide } of this.circuits.values()) guide?.stop();
    this.overflow?.guide?.stop();
    this.circuits.clear();
    this.overflow = undefined;
    this.lookAgain();
  }

  configure(maxKeys: number, visit: (circuit: Circuit) => void): void {
    this.maxKeys = maxKeys;
    this.forEach(visit);
  }

  stats(): KeyedCircuitStats {
    const notClosed: Record<string, CircuitState> = {};
    let open = 0;
    let listed = 0;
    for (const { key, state } of [...this.circuits.values(), ...(this.overflow ? [this.overflow] : [])]) {
      if (state === 'closed') continue;
      if (isOpen(state)) open++;
      if (listed++ < STATS_KEYS) notClosed[key as string] = state;
    }
    return { count: this.circuits.size, open, notClosed };
  }

  /** Drops an idle circuit, if there is one; those looked at in vain go to the back, to be looked at last. */
  private makeRoom(): boolean {
    const now = this.now();
    if (now < this.fullUntil) return false;
    let looks = this.circuits.size;
    let earliest = Number.POSITIVE_INFINITY;
    for (const [key, circuit] of this.circuits) {
      if (looks-- === 0) break;
      this.circuits.delete(key);
      const { idleAt } = circuit;
      if (idleAt <= now) {
        circuit.guide?.stop();
        return true;
      }
      this.circuits.set(key, circuit);
      if (idleAt < earliest) earliest = idleAt;
    }
    this.fullUntil = earliest;
    return false;
  }

  private lookAgain(): void {
    this.fullUntil = ALWAYS;
  }

  private overflowCircuit(): Circuit {
    if (this.overflow === undefined) {
      this.onOverflow();
      this.overflow = this.create(OVERFLOW, true);
    }
    return this.overflow;
  }
}
