import type { LimitAlgorithm } from './algorithm.js';

const SWEPT_PER_NEW_KEY = 2;

/** Stands for all keys that found no place. */
export const OVERFLOW_KEY = '\u0000overflow';

/**
 * The states of a limiter's keys, at most `maxKeys`. A key whose state is worth nothing any more may go; one that is in
 * use or blocked never does. Where none can go, new keys share one overflow state. Two old keys are looked at for each
 * new one, so that idle keys vanish without a timer.
 */
export class KeyedStates<S> {
  private readonly states = new Map<string, S>();
  private hand: Iterator<[string, S]> | undefined;
  /** Before this instant no key of a full map can be idle, so looking again is pointless. */
  private fullUntil = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly algorithm: LimitAlgorithm<S>,
    private readonly maxKeys: number,
    private readonly onOverflow: () => void,
  ) {}

  get size(): number {
    return this.states.size;
  }

  /** Where `key` is kept: under its own name, or with the overflow. */
  placeOf(key: string, now: number): string {
    if (this.states.has(key)) return key;
    this.sweep(now);
    if (!this.isFull || this.makeRoom(now)) return key;
    this.onOverflow();
    return OVERFLOW_KEY;
  }

  get(place: string): S | undefined {
    return this.states.get(place);
  }

  /** The state that `key` would meet now: its own, or, where there is no place for it, the overflow's. */
  look(key: string): S | undefined {
    const own = this.states.get(key);
    if (own !== undefined || !this.isFull) return own;
    return this.states.get(OVERFLOW_KEY);
  }

  set(place: string, state: S): void {
    this.states.set(place, state);
  }

  /** A refund may have made a key idle earlier than thought. */
  forgetFullness(): void {
    this.fullUntil = Number.NEGATIVE_INFINITY;
  }

  /** Takes over what another one keeps, where the states are of the same make. */
  adopt(other: KeyedStates<S>, now: number): void {
    const { algorithm } = this;
    for (const [key, state] of other.states) {
      this.states.set(key, algorithm.translate?.(state, other.algorithm, now) ?? state);
    }
    this.forgetFullness();
  }

  clear(): void {
    this.states.clear();
    this.hand = undefined;
    this.forgetFullness();
  }

  /** Whether no place is left; the overflow takes none. */
  private get isFull(): boolean {
    const { size } = this.states;
    return size > this.maxKeys || (size === this.maxKeys && !this.states.has(OVERFLOW_KEY));
  }

  private sweep(now: number): void {
    for (let i = 0; i < SWEPT_PER_NEW_KEY; i++) {
      const step = (this.hand ??= this.states.entries()).next();
      if (step.done === true) {
        this.hand = undefined;
        return;
      }
      const [key, state] = step.value;
      if (this.algorithm.idleAt(state) <= now) this.states.delete(key);
    }
  }

  private makeRoom(now: number): boolean {
    if (now < this.fullUntil) return false;
    let earliest = Number.POSITIVE_INFINITY;
    for (const [key, state] of this.states) {
      const idleAt = this.algorithm.idleAt(state);
      if (idleAt <= now) this.states.delete(key);
      else if (idleAt < earliest) earliest = idleAt;
    }
    if (!this.isFull) return true;
    this.fullUntil = earliest;
    return false;
  }
}
