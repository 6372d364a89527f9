import { eventsOf, groupBy, type Begun, type History, type Told } from './history.js';

/**
 * SS-03: per idempotency key at most one stored outcome, at most one run while its lease is valid, replays equal to the
 * byte, and other arguments never run. Where the store forgot, a key begins anew.
 */
export function onceViolations(history: History): string[] {
  const forgotten = eventsOf(history, 'forgot');
  const begun = groupBy(eventsOf(history, 'begun'), ({ key }) => key);
  const told = groupBy(eventsOf(history, 'beat', 'completed', 'failed'), ({ key }) => key);
  const answered = groupBy(eventsOf(history, 'answered'), ({ key }) => key);
  const forgotBetween = (from: number, to: number) =>
    forgotten.some(({ asked, at }) => at >= from && asked <= to);

  const violations: string[] = [];
  for (const [key, begins] of begun) {
    const runs = begins
      .filter(({ answer }) => answer === 'run')
      .map((begin) => runOf(begin, told.get(key) ?? []));
    for (const [i, run] of runs.entries()) {
      for (const other of runs.slice(i + 1)) {
        if (forgotBetween(run.asked, other.at)) continue;
        // A run begins after it was asked for, and its lease is its own until it is told to be over.
        if (other.asked >= run.at && other.at < run.until)
          violations.push(
            `${key}: ${other.worker} runs beside ${run.worker}, whose lease has ${(run.until - other.at).toFixed(1)} ms left`,
          );
        if (run.storedAt !== undefined && other.asked >= run.storedAt)
          violations.push(`${key}: ${other.worker} runs what ${run.worker} has completed`);
      }
    }
    const stored = runs.filter(({ storedAt }) => storedAt !== undefined);
    const outcomes = runs.flatMap(({ outcome }) => outcome ?? []);
    const hasForgotten = forgotBetween(begins[0]?.asked ?? 0, Number.POSITIVE_INFINITY);
    if (stored.length > 1 && !hasForgotten) violations.push(`${key}: ${stored.length} outcomes are stored`);
    const replays = begins.filter(({ answer }) => answer === 'replay');
    const different = new Set(replays.map(({ outcome }) => outcome));
    if (different.size > 1 && !hasForgotten)
      violations.push(`${key}: replayed are ${[...different].join(' and ')}`);
    for (const { outcome } of replays) {
      if (!outcomes.includes(outcome as string))
        violations.push(`${key}: replayed is ${outcome}, which nobody completed`);
    }
    violations.push(...otherArguments(key, begins, runs, forgotBetween));
    const own = new Set(
      (answered.get(key) ?? []).filter((each) => each.own && each.ok).map(({ answer }) => answer),
    );
    for (const { own: isOwn, ok, answer, worker } of answered.get(key) ?? []) {
      if (!isOwn && ok && !own.has(answer) && !outcomes.some((outcome) => outcome.endsWith(answer)))
        violations.push(`${key}: ${worker} was answered ${answer}, which no run returned`);
    }
  }
  return violations;
}

interface Run extends Begun {
  readonly storedAt: number | undefined;
  readonly outcome: string | undefined;
}

/** A run and how it went on: its lease by its beats, what was made of it. */
function runOf(begin: Begun, told: readonly Told[]): Run {
  const own = told.filter(({ fence, worker }) => fence === begin.fence && worker === begin.worker);
  let { until } = begin;
  let storedAt: number | undefined;
  let outcome: string | undefined;
  for (const each of own) {
    if (each.kind === 'beat') {
      if (each.kept === true) until = Math.max(until, each.until);
      continue;
    }
    // Told to be over: from then on the key may be anybody's.
    until = Math.min(until, each.asked);
    if (each.kind === 'failed') continue;
    outcome = each.outcome;
    if (each.kept === true) storedAt ??= each.at;
  }
  return { ...begin, until, storedAt, outcome };
}

function otherArguments(
  key: string,
  begins: readonly Begun[],
  runs: readonly Run[],
  forgotBetween: (from: number, to: number) => boolean,
): string[] {
  const violations: string[] = [];
  for (const stored of runs.filter(({ storedAt }) => storedAt !== undefined)) {
    for (const begin of begins) {
      const isLater = begin.asked >= (stored.storedAt as number);
      if (!isLater || begin.answer !== 'replay' || begin.fingerprint === stored.fingerprint) continue;
      if (forgotBetween(stored.asked, begin.at)) continue;
      violations.push(`${key}: ${begin.worker} was answered for other arguments`);
    }
  }
  return violations;
}
