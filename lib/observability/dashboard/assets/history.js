// What was shown in the last minutes: rates and charts come from how totals have grown.

const SNAPSHOTS = 11;
const POINTS = 300;

export class History {
  #snapshots = [];
  #points = new Map();
  #times = [];

  add(stats) {
    const at = Date.parse(stats.timestamp) / 1_000;
    const before = this.#snapshots.at(-1);
    this.#snapshots.push({ at, stats });
    if (this.#snapshots.length > SNAPSHOTS) this.#snapshots.shift();
    if (before === undefined || at <= before.at) return;
    this.#times.push(at);
    if (this.#times.length > POINTS) this.#times.shift();
    for (const [name, breaker] of Object.entries(stats.circuitBreakers))
      this.#addPoint(name, breaker, before.stats.circuitBreakers[name], at - before.at);
    for (const name of this.#points.keys())
      if (!Object.hasOwn(stats.circuitBreakers, name)) this.#points.delete(name);
  }

  /** How fast a total grows, per second, over the last ten seconds; undefined where that is not known. */
  rate(kind, name, read) {
    const newest = this.#snapshots.at(-1);
    const oldest = this.#snapshots[0];
    if (newest === undefined || newest.at <= oldest.at) return undefined;
    const [from, to] = [oldest, newest].map(({ stats }) => stats[kind]?.[name]);
    if (from === undefined || to === undefined) return undefined;
    return grown(read(from), read(to), newest.at - oldest.at);
  }

  /** What a policy was ten seconds ago. */
  before(kind, name) {
    return this.#snapshots[0]?.stats[kind]?.[name];
  }

  /** Times, and per second: successes, failures, rejections of a circuit breaker. */
  series(name) {
    const points = this.#points.get(name) ?? [];
    const times = this.#times.slice(this.#times.length - points.length);
    return [times, ...[0, 1, 2].map((index) => points.map((point) => point[index]))];
  }

  #addPoint(name, breaker, before, seconds) {
    const points = this.#points.get(name) ?? [];
    const read = (field) =>
      before === undefined ? null : (grown(before[field], breaker[field], seconds) ?? null);
    points.push([read('totalSuccesses'), read('totalFailures'), read('totalRejected')]);
    if (points.length > POINTS) points.shift();
    this.#points.set(name, points);
  }
}

/** A total that has shrunk was reset, or belongs to another process. */
function grown(from, to, seconds) {
  return to >= from ? (to - from) / seconds : undefined;
}

/**
 * Percentiles of durations, in milliseconds, from how many were at most so long; between two bounds as if they were spread
 * evenly.
 */
export function percentiles(upToSeconds, wanted) {
  const bounds = Object.entries(upToSeconds)
    .map(([bound, count]) => [Number(bound), count])
    .filter(([bound]) => Number.isFinite(bound))
    .toSorted(([a], [b]) => a - b);
  const total = Math.max(0, ...Object.values(upToSeconds));
  if (total === 0) return wanted.map(() => undefined);
  return wanted.map((share) => {
    const rank = (share / 100) * total;
    let [lower, below] = [0, 0];
    for (const [bound, count] of bounds) {
      if (count >= rank)
        return 1_000 * (lower + ((bound - lower) * (rank - below)) / Math.max(1, count - below));
      [lower, below] = [bound, count];
    }
    return 1_000 * lower;
  });
}
