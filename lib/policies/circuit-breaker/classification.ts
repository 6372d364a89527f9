import type { Call } from '../../core/call.js';
import { statusOf } from '../../core/classify.js';
import { TimeoutExceededError, isRejection } from '../../core/errors.js';
import type { OutcomeKind } from '../../core/outcome.js';
import type { CircuitSettings } from './circuit-breaker.options.js';

/** 4xx answers that say something about the dependency and not about the request. */
const FAILING_CLIENT_STATUS: ReadonlySet<number> = new Set([408, 425, 429]);

/** What a finished call was to a breaker; the first rule that applies decides. Throws what a user's matcher throws. */
export function classify(settings: CircuitSettings, call: Call, ok: boolean, result: unknown): OutcomeKind {
  if (ok) return settings.recordResult?.(result, call) === true ? 'failure' : 'success';
  if (call.abandoned) return 'ignored';
  if (isRejection(result)) return settings.recordErrors?.(result, call) === true ? 'failure' : 'ignored';
  if (settings.ignoreErrors?.(result, call) === true) return 'ignored';
  if (result instanceof TimeoutExceededError) return 'failure';
  if (settings.recordErrors !== undefined) {
    if (settings.recordErrors(result, call)) return 'failure';
    return settings.unmatchedErrors === 'ignore' ? 'ignored' : 'success';
  }
  return isAnswer(result) ? 'success' : 'failure';
}

/** Not found, invalid, forbidden: the dependency is well, it answered. */
function isAnswer(error: unknown): boolean {
  const status = statusOf(error);
  return status !== undefined && status >= 400 && status < 500 && !FAILING_CLIENT_STATUS.has(status);
}
