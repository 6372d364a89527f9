/** The package's name with its breaking version: what two copies that may share identities have in common. */
const SHARED = 'nestjs-breakwater@0';

/**
 * A symbol that every loaded copy of this package agrees on. Jest, bundlers and the two builds can load the package
 * twice into one process; tokens and brands must be the same in both.
 */
export function sharedSymbol(name: string): symbol {
  return Symbol.for(`${SHARED}/${name}`);
}

/** One object for all loaded copies, made at first use and kept on `globalThis`. */
export function sharedState<T>(name: string, create: () => T): T {
  const holder = globalThis as unknown as Record<symbol, T | undefined>;
  const key = sharedSymbol(name);
  return (holder[key] ??= create());
}
