/**
 * How a protected call ended, as far as its guards are concerned. `ignored` counts neither for nor against the
 * dependency; a policy's own rejection is no outcome at all.
 *
 * @publicApi
 */
export type OutcomeKind = 'success' | 'failure' | 'ignored';
