import { createHash } from 'node:crypto';

/**
 * A hash of a call's arguments that is the same for equal ones: keys of objects are sorted, signals and functions left
 * out, and what JSON does not tell apart (`undefined`, dates, maps, big integers) is.
 */
export function fingerprintOf(args: readonly unknown[]): string {
  const hash = createHash('sha256');
  write(args, (text) => hash.update(text), new Set());
  return hash.digest('base64url');
}

function write(value: unknown, out: (text: string) => void, path: Set<object>): void {
  if (typeof value === 'string') {
    out(`s${JSON.stringify(value)}`);
  } else if (typeof value !== 'object' || value === null) {
    out(typeof value === 'function' ? 'f' : `${typeof value}:${String(value)};`);
  } else if (value instanceof AbortSignal) {
    out('signal;');
  } else if (path.has(value)) {
    out('cycle;');
  } else {
    path.add(value);
    writeObject(value, out, path);
    path.delete(value);
  }
}

function writeObject(value: object, out: (text: string) => void, path: Set<object>): void {
  if (value instanceof Date) {
    out(`d${value.getTime()};`);
    return;
  }
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    out(`b${bytes.toString('base64')};`);
    return;
  }
  const isList = Array.isArray(value) || value instanceof Set || value instanceof Map;
  const entries = isList ? [...(value as Iterable<unknown>)].entries() : sortedEntries(value);
  out(`${value.constructor?.name ?? ''}${isList ? '[' : '{'}`);
  for (const [key, item] of entries) {
    out(isList ? ',' : `${JSON.stringify(key)}:`);
    write(item, out, path);
  }
  out(isList ? ']' : '}');
}

function sortedEntries(value: object): [string, unknown][] {
  return Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}
