import { NAMED_KINDS, POLICY_KINDS, type NamedKind } from '../../module/policy-kinds.js';

const BY_PLURAL: ReadonlyMap<string, NamedKind> = new Map(
  NAMED_KINDS.flatMap((kind) => {
    const { plural } = POLICY_KINDS[kind];
    return [
      [plural, kind],
      [kebabCase(plural), kind],
    ] as const;
  }),
);

/** The kinds as they stand in URLs: `circuitBreakers` and so on. */
export const PLURALS: readonly string[] = NAMED_KINDS.map((kind) => POLICY_KINDS[kind].plural);

/** What a part of a URL means: `circuitBreakers` or `circuit-breakers`; undefined where it is no kind. */
export function kindOf(plural: string): NamedKind | undefined {
  return BY_PLURAL.get(plural);
}

function kebabCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
