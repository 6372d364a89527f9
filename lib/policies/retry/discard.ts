/**
 * Lets go of a result that nobody will read: cancels a web stream or a response's body, destroys a Node stream. Without
 * it a discarded response keeps its connection until the garbage collector comes by.
 *
 * @returns whether there was anything of that kind, so that nobody can read it any more.
 */
export function discard(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { body, data } = value as { body?: unknown; data?: unknown };
  return [value, body, data].map(release).includes(true);
}

interface Holder {
  readonly cancel?: unknown;
  readonly destroy?: unknown;
  readonly locked?: unknown;
  readonly getReader?: unknown;
  readonly pipe?: unknown;
  readonly on?: unknown;
}

function release(holder: unknown): boolean {
  if (typeof holder !== 'object' || holder === null) return false;
  const { cancel, destroy, locked, getReader, pipe, on } = holder as Holder;
  try {
    // What cannot be released is no reason to fail a call that goes on.
    if (typeof getReader === 'function') {
      if (locked === true || typeof cancel !== 'function') return false;
      Promise.resolve(cancel.call(holder)).catch(() => undefined);
      return true;
    }
    if (typeof pipe === 'function' && typeof destroy === 'function') {
      // A body of undici reports its own destruction as an error, which nobody else would hear.
      if (typeof on === 'function') on.call(holder, 'error', () => undefined);
      destroy.call(holder);
      return true;
    }
  } catch {
    // as above
  }
  return false;
}
