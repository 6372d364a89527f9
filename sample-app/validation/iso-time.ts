const ISO = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?$/;

/** A time of ISO 8601 as a `Date`; what is none stays as it is, for the validator to refuse. */
export function IsoTime({ value }: { value: unknown }): unknown {
  if (typeof value !== 'string' || !ISO.test(value)) return value;
  const time = new Date(value);
  return Number.isNaN(time.getTime()) ? value : time;
}
