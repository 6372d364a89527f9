import { Logger } from '@nestjs/common';
import { formatDuration } from '../../core/duration.js';
import type { EventHub } from '../../core/events.js';
import type { PolicyEventOf } from './event-catalogue.js';

/** States in which a circuit breaker does not protect as it was set to: whoever is on duty wants to know. */
const ALARMING: ReadonlySet<string> = new Set(['open', 'forced-open', 'disabled', 'meter-only']);

/**
 * Writes state changes of circuit breakers and of the shared store to Nest's log, each once, and never a rejection: that
 * would be a line per call. The drain writes its own.
 */
export function logTransitions(events: EventHub): () => void {
  const logger = new Logger('Resilience');
  const changed = ({ policy, details }: PolicyEventOf<'circuitBreaker', 'state-changed'>) => {
    const { from, to, reason, key } = details;
    const line = `${breaker(policy, key)}: ${from} → ${to} (${reason}).`;
    if (ALARMING.has(to)) logger.warn(line);
    else logger.log(line);
  };
  const crossed = ({ policy, details }: PolicyEventOf<'circuitBreaker', 'threshold-crossed'>) => {
    logger.warn(`${breaker(policy, details.key)} would have opened: ${details.reason}.`);
  };
  const lost = ({ details }: PolicyEventOf<'sharedState', 'lost'>) => {
    logger.warn(`The shared store is lost; this instance decides alone (${String(details.error)}).`);
  };
  const returned = ({ details }: PolicyEventOf<'sharedState', 'returned'>) => {
    logger.log(`The shared store is back after ${formatDuration(Math.round(details.lostForMs))}.`);
  };
  const listener = (event: unknown) => {
    const { type } = event as { type: string };
    if (type === 'lost') lost(event as PolicyEventOf<'sharedState', 'lost'>);
    else if (type === 'returned') returned(event as PolicyEventOf<'sharedState', 'returned'>);
    else if (type === 'state-changed') changed(event as PolicyEventOf<'circuitBreaker', 'state-changed'>);
    else crossed(event as PolicyEventOf<'circuitBreaker', 'threshold-crossed'>);
  };
  return events.listen(listener, {
    circuitBreaker: ['state-changed', 'threshold-crossed'],
    sharedState: ['lost', 'returned'],
  });
}

function breaker(name: string, key: string | undefined): string {
  return `Circuit breaker "${name}"${key === undefined ? '' : ` (key ${JSON.stringify(key)})`}`;
}
