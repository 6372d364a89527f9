/** Which round of composition is in force. */
const composition = { round: 0 };

/** The round that a pipeline must have been composed in to be still true. */
export function compositionRound(): number {
  return composition.round;
}

/** A policy has changed in a way that pipelines depend on: each composes itself anew at its next call. */
export function recomposePipelines(): void {
  composition.round++;
}
