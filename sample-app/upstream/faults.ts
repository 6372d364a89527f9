/** Where prices are had: the same service three times, each with faults of its own. */
export const REGIONS = ['primary', 'replica', 'backup'] as const;

export type Region = (typeof REGIONS)[number];

/** How a region misbehaves for everybody; changed by `PUT /faults/:region`. */
export interface Faults {
  /** How many answers of a hundred are 503. */
  failurePercent: number;
  /** How long every answer takes. */
  latencyMs: number;
}

/** What a region has seen since it started. */
export interface UpstreamCounts {
  requests: number;
  failed: number;
  /** Requests whose caller left before the answer. */
  abandoned: number;
}

/** A region as it is now. */
export interface RegionState {
  readonly faults: Faults;
  readonly counts: UpstreamCounts;
}
