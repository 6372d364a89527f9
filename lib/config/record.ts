/** An object that users name the properties of. It has no others: `constructor` is a name like any other. */
export type NamedRecord<T> = Record<string, T>;

/** A copy of somebody's record, one level deep; an empty one without. */
export function namedRecord<T = unknown>(from: object = {}): NamedRecord<T> {
  // Not by assignment, which would take `__proto__` for the prototype.
  return Object.setPrototypeOf({ ...from }, null) as NamedRecord<T>;
}

/** What JSON calls an object. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
