import type { Clock } from '../../core/clock.js';
import { IdempotencyConflictError, IdempotencyUnavailableError } from '../../core/errors.js';
import type { OnceBegin, OnceOutcome, OnceStore } from '../../core/once-store.js';
import { MAX_VALUE_BYTES, type Fleet, type StateKey } from '../../core/shared-state.js';

/** Turns results into text for a shared store, and back. @publicApi */
export interface OutcomeCodec {
  encode(value: unknown): string;
  decode(text: string): unknown;
}

const JSON_CODEC: OutcomeCodec = {
  encode: (value) => JSON.stringify(value) ?? '',
  decode: (text) => (text === '' ? undefined : (JSON.parse(text) as unknown)),
};

const RETRIES_BEHIND = 4;
const FIRST_RETRY_MS = 250;

/** The first character of a kept outcome. */
const OK = '+';
const THROWN = '-';
const TOO_LARGE = '!';
const NO_TEXT = '?';

/**
 * Remembers outcomes for all instances. While the store is lost nothing begins: what may run twice is what idempotency is
 * there to prevent.
 */
export class SharedOnceStore implements OnceStore {
  /** What the store has not heard yet, and what calls off the next try. */
  private readonly untold = new Map<() => Promise<unknown>, () => void>();

  constructor(
    private readonly policy: string,
    private readonly fleet: Fleet,
    private readonly clock: Clock,
    private readonly codec: OutcomeCodec = JSON_CODEC,
  ) {
    fleet.onLeave?.(() => this.tellNow());
  }

  async begin(key: string, fingerprint: string, leaseMs: number, remainingMs?: number): Promise<OnceBegin> {
    let begun;
    try {
      begun = await this.fleet.state.once.begin(this.keyOf(key), fingerprint, leaseMs, remainingMs);
    } catch (cause) {
      const message = `The shared store cannot say whether this call of idempotency "${this.policy}" has been made before.`;
      throw new IdempotencyUnavailableError(message, { policy: this.policy, cause });
    }
    return begun.kind === 'replay' ? { kind: 'replay', outcome: this.decode(begun.outcome) } : begun;
  }

  complete(key: string, fence: number, outcome: OnceOutcome, ttlMs: number): Promise<boolean> {
    const text = this.encode(outcome);
    return this.tell(() => this.fleet.state.once.complete(this.keyOf(key), fence, text, ttlMs));
  }

  fail(key: string, fence: number): Promise<void> {
    return this.tell(() => this.fleet.state.once.fail(this.keyOf(key), fence));
  }

  beat(key: string, fence: number, leaseMs: number): Promise<boolean> {
    return this.fleet.state.once.beat(this.keyOf(key), fence, leaseMs);
  }

  /** Where the store does not hear it now, it is told again behind the caller's back. */
  private async tell<T>(say: () => Promise<T>): Promise<T> {
    try {
      return await say();
    } catch (error) {
      this.tellLater(say, RETRIES_BEHIND, FIRST_RETRY_MS);
      throw error;
    }
  }

  private tellLater(say: () => Promise<unknown>, left: number, delayMs: number): void {
    const cancel = this.clock.delay(delayMs, () => {
      this.untold.delete(say);
      say().catch(() => {
        if (left > 1) this.tellLater(say, left - 1, delayMs * 2);
      });
    });
    this.untold.set(say, cancel);
  }

  /** This instance leaves: what the store hears now or never. */
  private async tellNow(): Promise<void> {
    const untold = [...this.untold];
    this.untold.clear();
    for (const [, cancel] of untold) cancel();
    await Promise.allSettled(untold.map(([say]) => say()));
  }

  private keyOf(subject: string): StateKey {
    return { kind: 'idempotency', policy: this.policy, subject };
  }

  private encode({ ok, value }: OnceOutcome): string {
    let text: string;
    try {
      text = ok ? OK + this.codec.encode(value) : THROWN + JSON.stringify(describeError(value));
    } catch {
      // That it has been made is kept all the same.
      return NO_TEXT;
    }
    return Buffer.byteLength(text) > MAX_VALUE_BYTES ? TOO_LARGE : text;
  }

  private decode(text: string): OnceOutcome {
    const rest = text.slice(1);
    if (text.startsWith(OK)) return { ok: true, value: this.codec.decode(rest) };
    if (text.startsWith(THROWN)) return { ok: false, value: errorFrom(rest) };
    const why = text === TOO_LARGE ? 'was too large to be' : 'cannot be written down, and was not';
    const message = `This call has been made; what came of it ${why} kept for another instance.`;
    return { ok: false, value: new IdempotencyConflictError(message, { policy: this.policy }) };
  }
}

function describeError(error: unknown): unknown {
  if (!(error instanceof Error)) return { value: error };
  const { name, message } = error;
  return { name, message, fields: Object.fromEntries(Object.entries(error)) };
}

function errorFrom(text: string): unknown {
  const kept = JSON.parse(text) as { value?: unknown; name?: string; message?: string; fields?: object };
  if (kept.message === undefined) return kept.value;
  const error = Object.assign(new Error(kept.message), kept.fields);
  error.name = kept.name ?? 'Error';
  return error;
}
