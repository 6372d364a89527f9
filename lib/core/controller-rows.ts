const list = { kind: 'list', default: [], defaultText: 'none' } as const;

/** Options of every module of ours that mounts routes: who may come, and what the application makes of them. */
export const guardsRow = {
  ...list,
  name: 'guards',
  each: { kind: 'any' },
  sentence: 'Guards in front of every route, as in `@UseGuards()`.',
} as const;

export const importsRow = {
  ...list,
  name: 'imports',
  each: { kind: 'any' },
  sentence: 'Modules that export what the guards need.',
} as const;

/** @param example - What such a decorator says to a global guard. */
export const decoratorsRow = (example: string) =>
  ({
    ...list,
    name: 'decorators',
    each: { kind: 'function' },
    sentence: `Further decorators for the controller, such as \`${example}\` for a global guard.`,
  }) as const;
