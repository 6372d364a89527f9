/**
 * Lets go of a result that nobody will read: cancels a web stream or a response's body, destroys a Node stream. Without
 * it a discarded response keeps its connection until the garbage collector comes by.
 */
export function discard(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const { body, data } = value as { body?: unknown; data?: unknown };
  for (const holder of [value, body, data]) release(holder);
}

function release(holder: unknown): void {
  if (typeof holder !== 'object' || holder === null) return;
  const { cancel, destroy, locked, getReader, pipe } = holder as Readonly<Record<string, unknown>>;
  let letGo: unknown;
  if (typeof getReader === 'function') letGo = locked === true ? undefined : cancel;
  else if (typeof pipe === 'function') letGo = destroy;
  if (typeof letGo !== 'function') return;
  try {
    // What cannot be released is no reason to fail a call that goes on.
    Promise.resolve(letGo.call(holder)).catch(() => undefined);
  } catch {
    // as above
  }
}
