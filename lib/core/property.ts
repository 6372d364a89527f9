/** A property of whatever it is; undefined where it cannot have one. */
export function propertyOf(value: unknown, name: string): unknown {
  if (!isObject(value)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

/** What a method of whatever it is answers; undefined where it has no such method. */
export function answerOf(value: unknown, name: string, ...args: unknown[]): unknown {
  const method = propertyOf(value, name);
  return typeof method === 'function'
    ? (method as (...args: unknown[]) => unknown).apply(value, args)
    : undefined;
}

/** Whether it is something that can have properties of its own. */
export function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function';
}

/** Whether it has a `then` method, which is all that `await` looks at. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return isObject(value) && typeof (value as { then?: unknown }).then === 'function';
}
