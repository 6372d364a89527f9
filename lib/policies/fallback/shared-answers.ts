import { MAX_VALUE_BYTES, type Fleet, type StateKey } from '../../core/shared-state.js';

/** `undefined` is an answer, and no JSON. */
const UNDEFINED = '';

/** The answers of a chain that all instances share, as JSON. */
export class SharedAnswers {
  constructor(
    private readonly chain: string,
    private readonly fleet: Fleet,
  ) {}

  /** An answer and its age on the store's clock. Rejects where the store cannot say, or says what nobody understands. */
  async get(key: string): Promise<{ readonly value: unknown; readonly ageMs: number } | undefined> {
    const found = await this.fleet.state.cache.get(this.keyOf(key));
    if (found === undefined) return undefined;
    const { value: text, ageMs } = found;
    return { value: text === UNDEFINED ? undefined : (JSON.parse(text) as unknown), ageMs };
  }

  /** Rejects where the answer cannot be shared, or the store does not take it. */
  async put(key: string, value: unknown, ttlMs: number): Promise<void> {
    await this.fleet.state.cache.put(this.keyOf(key), encode(value), ttlMs);
  }

  private keyOf(subject: string): StateKey {
    return { kind: 'fallback', policy: this.chain, subject };
  }
}

function encode(value: unknown): string {
  if (value === undefined) return UNDEFINED;
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`A ${typeof value} cannot be shared: it is no JSON.`);
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_VALUE_BYTES) return text;
  throw new RangeError(`An answer of ${bytes} bytes is not shared; ${MAX_VALUE_BYTES} are the most.`);
}
