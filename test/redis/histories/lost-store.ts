import { eventsOf, groupBy, laterBy, type History, type Noted, type Sent } from './history.js';

export interface LostStoreRules {
  /** What a call of the store may take at most. */
  readonly timeoutMs: number;
}

/** A machine that is busy wakes a timer late. */
const BUSY_MS = 1_000;
/** The shortest time between two probes: half of the first interval. */
const SHORTEST_PROBE_MS = 125;
/** The longest time between them. */
const LONGEST_PROBE_MS = 1_500;
const RECOVERY_MS = 2_000;

/**
 * SS-06: a call costs at most the guard's timeout, an instance that knows the store to be lost sends nothing but one probe
 * at a time, and nothing is left unhandled.
 */
export function lostStoreViolations(history: History, { timeoutMs }: LostStoreRules): string[] {
  const violations = eventsOf(history, 'unhandled').map(
    ({ worker, error }) => `${worker}: nobody handled ${error}`,
  );
  for (const { worker, kind, asked, at } of eventsOf(history, 'decision', 'held')) {
    const limitMs = timeoutMs + BUSY_MS;
    if (at - asked > limitMs && at > laterBy(history, asked, limitMs))
      violations.push(`${worker}: a ${kind} took ${(at - asked).toFixed(0)} ms`);
  }
  for (const { worker, from, to, sent } of outages(history)) {
    const other = sent.filter(({ script }) => script !== PROBE);
    if (other.length > 0)
      violations.push(
        `${worker}: sent ${other.map(({ script }) => script).join(', ')} while the store was lost`,
      );
    const probes = sent.filter(({ script }) => script === PROBE);
    for (const [i, { at }] of probes.entries()) {
      const previous = probes[i - 1]?.at ?? from;
      if (at - previous < SHORTEST_PROBE_MS)
        violations.push(`${worker}: a probe ${(at - previous).toFixed(0)} ms after the last`);
    }
    if (to < from) violations.push(`${worker}: is back before it was lost`);
  }
  return violations;
}

/**
 * SS-07: within two seconds of the store's return every instance that had lost it has found it, and none that found it
 * back while it was out. For an instance whose probe is not answered in time it is not back before the next one.
 */
export function recoveryViolations(history: History, { timeoutMs }: LostStoreRules): string[] {
  const out = eventsOf(history, 'out')[0];
  const back = eventsOf(history, 'back').at(-1);
  if (out === undefined || back === undefined) return [];
  const violations: string[] = [];
  for (const [worker, changes] of groupBy(
    eventsOf(history, 'degraded', 'recovered'),
    (each) => each.worker,
  )) {
    const probes = probesOf(history, worker);
    const early = changes.filter(
      ({ kind, at }) =>
        kind === 'recovered' &&
        at < back.asked &&
        // An answer may have been on its way.
        (probes.findLast((probe) => probe.at < at)?.at ?? at) > out.at,
    );
    if (early.length > 0)
      violations.push(`${worker}: found the store ${early.length} times while it was out`);
    const late = probes.filter((probe) => probe.at >= back.at && probe.tookMs >= timeoutMs).length;
    const until = laterBy(history, back.at, RECOVERY_MS + late * (LONGEST_PROBE_MS + timeoutMs));
    const view = changes.findLast(({ at }) => at <= until);
    if (view?.kind === 'degraded' && view.at <= back.at)
      violations.push(`${worker}: has not found the store ${RECOVERY_MS} ms after its return`);
  }
  return violations;
}

/** What may be sent to a store that is lost. */
const PROBE = 'check';

/** When a worker asked whether the store is back, and how long the answer took. */
function probesOf(history: History, worker: string): { readonly at: number; readonly tookMs: number }[] {
  const own = eventsOf(history, 'sent', 'settled').filter((each) => each.worker === worker);
  return own
    .filter(({ kind, script }) => kind === 'sent' && script === PROBE)
    .map(({ at, call }) => {
      const settled = own.find((each) => each.kind === 'settled' && each.call === call && each.at >= at);
      return { at, tookMs: (settled?.at ?? Number.POSITIVE_INFINITY) - at };
    });
}

interface Outage {
  readonly worker: string;
  readonly from: number;
  readonly to: number;
  readonly sent: readonly Sent[];
}

function outages(history: History): Outage[] {
  const changes = groupBy(eventsOf(history, 'degraded', 'recovered'), ({ worker }) => worker);
  const sent = groupBy(eventsOf(history, 'sent'), ({ worker }) => worker);
  return [...changes].flatMap(([worker, each]) =>
    each
      .filter(({ kind }) => kind === 'degraded')
      .map((lost: Noted) => {
        const to = each.find(({ kind, at }) => kind === 'recovered' && at >= lost.at)?.at;
        const end = to ?? Number.POSITIVE_INFINITY;
        const within = (sent.get(worker) ?? []).filter(({ at }) => at > lost.at && at < end);
        return { worker, from: lost.at, to: end, sent: within };
      }),
  );
}
