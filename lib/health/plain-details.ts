/** So deep, so many values and so long texts are shown; what is beyond is `…`. */
const DEPTH = 6;
const VALUES = 500;
const TEXT_LENGTH = 500;

const CUT = '…';

/**
 * What a check returned, as plain data for an answer in JSON, whatever it is: a row with a `BigInt`, a response that refers
 * to itself. It is taken once per check, so that nothing big lives on in the last result.
 */
export function plainDetails(value: object): unknown {
  return new PlainCopy().of(value, 0);
}

/** One walk through a value: it knows where it is, and how much it may still take. */
class PlainCopy {
  private readonly above = new Set<object>();
  private left = VALUES;

  of(value: unknown, depth: number): unknown {
    if (this.left-- <= 0) return CUT;
    switch (typeof value) {
      case 'string':
        return cutText(value);
      case 'number':
        return Number.isFinite(value) ? value : null;
      case 'boolean':
        return value;
      case 'bigint':
        return cutText(String(value));
      case 'object':
        return value === null ? null : this.ofObject(value, depth);
      default:
        return null;
    }
  }

  private ofObject(value: object, depth: number): unknown {
    if (depth >= DEPTH || this.above.has(value)) return CUT;
    this.above.add(value);
    try {
      return this.inside(value, depth);
    } catch {
      // A `toJSON` or a proxy of somebody's.
      return null;
    } finally {
      this.above.delete(value);
    }
  }

  private inside(value: object, depth: number): unknown {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `${value.byteLength} bytes`;
    if (value instanceof Error) return cutText(`${value.name}: ${value.message}`);
    const { toJSON } = value as { toJSON?: unknown };
    if (typeof toJSON === 'function') return this.of((toJSON as () => unknown).call(value), depth + 1);
    if (value instanceof Map) return this.entries(value, depth);
    if (Array.isArray(value) || value instanceof Set) return this.list(value, depth);
    return this.entries(propertiesOf(value), depth);
  }

  private list(values: Iterable<unknown>, depth: number): unknown[] {
    const list: unknown[] = [];
    for (const each of values) {
      list.push(this.of(each, depth + 1));
      if (this.left < 0) break;
    }
    return list;
  }

  private entries(entries: Iterable<readonly [unknown, unknown]>, depth: number): Record<string, unknown> {
    const shown: [string, unknown][] = [];
    for (const [key, each] of entries) {
      if (typeof each === 'function') continue;
      shown.push([cutText(String(key)), this.of(each, depth + 1)]);
      if (this.left < 0) break;
    }
    return Object.fromEntries(shown);
  }
}

function* propertiesOf(value: object): Generator<readonly [string, unknown]> {
  for (const key of Object.keys(value)) {
    let property: unknown;
    try {
      property = (value as Record<string, unknown>)[key];
    } catch {
      property = null;
    }
    yield [key, property];
  }
}

/** A text at its longest. */
export function cutText(text: string): string {
  return text.length > TEXT_LENGTH ? `${text.slice(0, TEXT_LENGTH - 1)}${CUT}` : text;
}
