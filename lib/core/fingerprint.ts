import { createHash, randomUUID } from 'node:crypto';
import { types } from 'node:util';
import { hidesState } from './hidden-state.js';
import { hasStandIn } from './stand-ins.js';

/**
 * A hash of a call's arguments that is the same for equal ones, and another for others: keys of objects are sorted,
 * signals left out, and what JSON does not tell apart (`undefined`, dates, maps, bytes, URLs, big integers) is. Functions
 * count by name and text. Of an object that keeps its state where nobody can look, `toJSON` says what it is; without that
 * it equals nothing but itself.
 */
export function fingerprintOf(args: readonly unknown[]): string {
  const hash = createHash('sha256');
  write(args, (text) => hash.update(text), new Map());
  return hash.digest('base64url');
}

type Out = (text: string) => void;
/** The objects around a value, outermost first, with their depth. */
type Path = Map<object, number>;

/** `isJson`: it is what an object said of itself, and not asked again. */
function write(value: unknown, out: Out, path: Path, isJson = false): void {
  if (typeof value === 'string') {
    out(`s${JSON.stringify(value)}`);
  } else if (typeof value === 'function') {
    out(`f${textOf(value)};`);
  } else if (typeof value !== 'object' || value === null) {
    out(`${typeof value}:${String(value)};`);
  } else if (value instanceof AbortSignal) {
    out('signal;');
  } else if (hasStandIn(value)) {
    out(`#${identityOf(value)};`);
  } else if (path.has(value)) {
    out(`cycle:${path.get(value)};`);
  } else {
    path.set(value, path.size);
    writeObject(value, out, path, isJson);
    path.delete(value);
  }
}

function writeObject(value: object, out: Out, path: Path, isJson: boolean): void {
  const bytes = bytesOf(value);
  if (types.isDate(value)) out(`d${value.getTime()};`);
  else if (bytes !== undefined) out(`b${nameOf(value)}:${bytes.toString('base64')};`);
  else {
    out(`${nameOf(value)}{`);
    writeContents(value, out, path, isJson);
    out('}');
  }
}

function writeContents(value: object, out: Out, path: Path, isJson: boolean): void {
  const content = contentOf(value);
  for (const item of content ?? []) {
    out(',');
    write(item, out, path);
  }
  const entries = sortedEntries(value);
  for (const [key, item] of entries) {
    out(`${key}:`);
    write(item, out, path);
  }
  if (content !== undefined) return;
  const json = isJson ? undefined : jsonOf(value);
  if (json !== undefined) {
    out('~');
    write(json.value, out, path, true);
  } else if (hidesState(value, entries.length === 0)) {
    out(`#${identityOf(value)};`);
  }
}

function bytesOf(value: object): Buffer | undefined {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return types.isAnyArrayBuffer(value) ? Buffer.from(value) : undefined;
}

const PAIRS: ReadonlySet<unknown> = new Set(['URLSearchParams', 'Headers', 'FormData']);

/** What a built-in object holds besides its properties. By what it is and not by its class, which may be another realm's. */
function contentOf(value: object): Iterable<unknown> | undefined {
  if (Array.isArray(value) || types.isSet(value) || types.isMap(value)) return value as Iterable<unknown>;
  if (types.isNativeError(value)) {
    const { name, message, cause } = value;
    return [name, message, cause, (value as Partial<AggregateError>).errors];
  }
  if (types.isRegExp(value)) return [String(value)];
  if (types.isBoxedPrimitive(value)) return [value.valueOf()];
  const tag: unknown = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return PAIRS.has(tag) && Symbol.iterator in value ? (value as Iterable<unknown>) : undefined;
}

/** Own properties, those with symbols too; of a list those that are no items. */
function sortedEntries(value: object): [string, unknown][] {
  const own = value as Readonly<Record<string | symbol, unknown>>;
  const isList = Array.isArray(value);
  const entries: [string, unknown][] = [];
  for (const key of Object.keys(value)) {
    if (!isList || !/^\d+$/.test(key)) entries.push([JSON.stringify(key), own[key]]);
  }
  for (const key of Object.getOwnPropertySymbols(value)) {
    if (Object.prototype.propertyIsEnumerable.call(value, key)) entries.push([String(key), own[key]]);
  }
  return entries.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** What an object says of itself; nothing where that is the object again. */
function jsonOf(value: object): { readonly value: unknown } | undefined {
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON !== 'function') return undefined;
  const json: unknown = toJSON.call(value);
  return json === value ? undefined : { value: json };
}

function nameOf(value: object): string {
  const prototype = Object.getPrototypeOf(value) as object | null;
  return prototype?.constructor?.name ?? '';
}

const texts = new WeakMap<object, string>();

/** A short name for what a function is: closures of the same text are told apart by nobody. */
function textOf(fn: object): string {
  let text = texts.get(fn);
  if (text === undefined) {
    const source = Function.prototype.toString.call(fn);
    text = createHash('sha256')
      .update(`${(fn as { name: string }).name} ${source}`)
      .digest('base64url');
    texts.set(fn, text);
  }
  return text;
}

/** What no other process counts by. */
const PROCESS = randomUUID();
const identities = new WeakMap<object, number>();
let counted = 0;

function identityOf(value: object): string {
  let identity = identities.get(value);
  if (identity === undefined) identities.set(value, (identity = ++counted));
  return `${PROCESS}-${identity}`;
}
