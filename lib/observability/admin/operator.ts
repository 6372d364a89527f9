import { defineOptions } from '../../core/option-table.js';

/** What a circuit breaker can be told, as the last part of a URL. */
export const BREAKER_ACTIONS = ['force-open', 'close', 'disable', 'meter-only'] as const;

export type BreakerAction = (typeof BREAKER_ACTIONS)[number];

/** What may stand in the body of an action. */
export interface ActionBody {
  /** Why; kept with who did it. */
  readonly reason?: string;
}

export const actionTable = defineOptions<ActionBody>({
  name: 'reason',
  kind: 'string',
  optional: true,
  sentence: 'Why; kept with who did it.',
  check: (value) =>
    (value as string).length > MAX_TEXT ? `"reason" must have at most ${MAX_TEXT} characters.` : undefined,
});

const MAX_TEXT = 200;

/** A name or a reason as it may stand in logs and headers: one line, not too long. */
export function oneLine(text: unknown): string {
  return typeof text === 'string'
    ? text
        .replace(/\p{Cc}+/gu, ' ')
        .trim()
        .slice(0, MAX_TEXT)
    : '';
}
