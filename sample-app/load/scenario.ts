/** How the dependency is for a while. */
export interface Phase {
  readonly name: string;
  readonly seconds: number;
  readonly failurePercent: number;
  readonly latencyMs: number;
}

/** What both runs go through. */
export const PHASES: readonly Phase[] = [
  { name: 'well', seconds: 5, failurePercent: 0, latencyMs: 20 },
  { name: 'slow, half fails', seconds: 10, failurePercent: 50, latencyMs: 3_000 },
  { name: 'dead', seconds: 5, failurePercent: 100, latencyMs: 0 },
  { name: 'well again', seconds: 10, failurePercent: 0, latencyMs: 20 },
];

export const REQUESTS_PER_SECOND = 50;
/** Enough to keep that rate while every answer takes as long as the clients wait. */
export const CONNECTIONS = 250;
/** How long clients wait. */
export const PATIENCE_SECONDS = 5;
