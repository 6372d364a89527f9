/** The value that `percent` of the values, which ascend, are not above. */
export function percentile(ascending: readonly number[], percent: number): number {
  const index = Math.ceil((percent / 100) * ascending.length) - 1;
  return ascending[Math.max(0, index)] ?? Number.NaN;
}

/** A share in percent, rounded down so that only everything is 100. */
export function percentOf(part: number, whole: number): string {
  return whole === 0 ? '–' : `${(Math.floor((part / whole) * 10_000) / 100).toFixed(2)} %`;
}
