import type { Application } from '../application.js';
import type { Finding } from '../finding.js';
import { backoffExceedsBound } from './backoff-exceeds-bound.js';
import { breakerReach } from './breaker-reach.js';
import { bulkheadAroundRetry } from './bulkhead-around-retry.js';
import { bulkheadBelowHedge } from './bulkhead-below-hedge.js';
import { bulkheadWaitsBeyondTimeout } from './bulkhead-waits-beyond-timeout.js';
import { layeredRetries } from './layered-retries.js';
import { noRetryBudget } from './no-retry-budget.js';
import { noTimeout } from './no-timeout.js';
import { openOperatorRoutes } from './open-operator-routes.js';
import { repeatedWrites } from './repeated-writes.js';
import { sharedWithoutStore } from './shared-without-store.js';
import { startUpWarnings } from './start-up-warnings.js';
import { timeoutLeavesNoRetry } from './timeout-leaves-no-retry.js';

/** Each looks at the whole application for one way in which it will hurt. */
export const CHECKS: readonly ((application: Application) => readonly Finding[])[] = [
  openOperatorRoutes,
  repeatedWrites,
  layeredRetries,
  noRetryBudget,
  backoffExceedsBound,
  noTimeout,
  timeoutLeavesNoRetry,
  breakerReach,
  bulkheadBelowHedge,
  bulkheadAroundRetry,
  bulkheadWaitsBeyondTimeout,
  sharedWithoutStore,
  startUpWarnings,
];
