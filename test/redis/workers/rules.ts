// What the worker processes share, and what the checkers of their histories go by.

export const INSTANCES = 4;
/** The guard's; more than usual, for a busy machine. */
export const TIMEOUT_MS = 100;
/** Of permits and of runs. */
export const LEASE_MS = 500;
export const EXACT = { capacity: 40, refillPerSecond: 150 };
export const LEASED = { capacity: 80, refillPerSecond: 400 };
/** How long a leased unit may be used. */
export const UNIT_LEASE_MS = 250;
export const CIRCUIT = { failureThreshold: 3, openDuration: 1_200, successThreshold: 3, halfOpenMaxCalls: 2 };
export const PERMITS = { key: { kind: 'bulkhead', policy: 'permits', subject: '' }, limit: 8 };
