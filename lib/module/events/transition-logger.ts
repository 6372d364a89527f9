import { Logger } from '@nestjs/common';
import type { EventHub } from '../../core/events.js';
import type { PolicyEventOf } from './event-catalogue.js';

/** States in which a circuit breaker does not protect as it was set to: whoever is on duty wants to know. */
const ALARMING: ReadonlySet<string> = new Set(['open', 'forced-open', 'disabled', 'meter-only']);

/**
 * Writes state changes of circuit breakers to Nest's log, each once, and never a rejection: that would be a line per
 * call. The drain writes its own.
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
  const listener = (event: unknown) => {
    const { type } = event as { type: string };
    if (type === 'state-changed') changed(event as PolicyEventOf<'circuitBreaker', 'state-changed'>);
    else crossed(event as PolicyEventOf<'circuitBreaker', 'threshold-crossed'>);
  };
  return events.listen(listener, { circuitBreaker: ['state-changed', 'threshold-crossed'] });
}

function breaker(name: string, key: string | undefined): string {
  return `Circuit breaker "${name}"${key === undefined ? '' : ` (key ${JSON.stringify(key)})`}`;
}
