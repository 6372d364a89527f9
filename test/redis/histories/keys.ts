/** A key of the store, as a scan saw it. */
export interface KeptKey {
  readonly name: string;
  /** Milliseconds that it has left; -1 where it never expires. */
  readonly leftMs: number;
}

/** SS-08: every key expires, is named by the scheme, and says nothing of its subject. */
export function keyViolations(keys: readonly KeptKey[]): string[] {
  return keys.flatMap(({ name, leftMs }) => [
    ...(leftMs === -1 ? [`${name} never expires`] : []),
    ...(/^resilience:\{[\w.-]+:\w+:[^:{}]+:[\w-]{22}\}:v1$/.test(name) ? [] : [`${name} is no name of ours`]),
  ]);
}
