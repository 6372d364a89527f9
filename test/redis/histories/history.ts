// What happened in several processes, as they wrote it down. Times are CLOCK_MONOTONIC in milliseconds: on one machine
// all processes read the same clock, so that their events can be put in order.

interface Happened {
  readonly worker: string;
  /** When it was known. */
  readonly at: number;
}

/** Something that was asked of the store, and answered: the store did it between the two. */
interface Asked extends Happened {
  readonly key: string;
  readonly asked: number;
}

/** A rate limit decided. */
export interface Decision extends Asked {
  readonly kind: 'decision';
  readonly allowed: boolean;
  /** Whether the store was lost, so that the instance decided alone. */
  readonly local: boolean;
}

/** An operation on permits, and what its worker believes to hold from then on, until its lease ends. */
export interface Held extends Asked {
  readonly kind: 'held';
  readonly operation: 'acquire' | 'renew' | 'release';
  readonly ok: boolean;
  readonly count: number;
  readonly until: number;
}

/** What the store says that all hold. */
export interface ServerHeld extends Asked {
  readonly kind: 'server-held';
  readonly held: number;
}

/** A key of idempotency was asked for. */
export interface Begun extends Asked {
  readonly kind: 'begun';
  readonly fingerprint: string;
  readonly answer: 'run' | 'replay' | 'busy' | 'mismatch' | 'lost';
  readonly fence?: number | undefined;
  readonly outcome?: string | undefined;
  /** Where it may run: for so long nobody else may. */
  readonly until: number;
}

/** Who runs a key told the store of it; `kept` is undefined where no answer came. */
export interface Told extends Asked {
  readonly kind: 'beat' | 'completed' | 'failed';
  readonly fence: number;
  readonly kept: boolean | undefined;
  readonly until: number;
  readonly outcome?: string | undefined;
}

/** The store said how the circuit of all is. */
export interface CircuitSeen extends Asked {
  readonly kind: 'circuit-seen';
  readonly version: number;
  readonly open: boolean;
}

/** A worker's circuit changed. */
export interface CircuitChanged extends Happened {
  readonly kind: 'circuit-changed';
  readonly to: string;
  readonly reason: string;
}

/** A call ran inside a circuit that was half-open, from `asked` to `at`. */
export interface Probed extends Asked {
  readonly kind: 'probed';
  readonly ok: boolean;
}

/** The method itself ran. */
export interface Ran extends Happened {
  readonly kind: 'ran';
  readonly key: string;
  readonly fingerprint: string;
}

/** What a caller got. */
export interface Answered extends Asked {
  readonly kind: 'answered';
  readonly fingerprint: string;
  /** The result as JSON, or the name of the error. */
  readonly answer: string;
  readonly ok: boolean;
  /** Whether this very call ran the method. */
  readonly own: boolean;
}

/** A script went to the store, or was answered (or failed); `call` tells which. */
export interface Sent extends Happened {
  readonly kind: 'sent' | 'settled';
  readonly script: string;
  readonly call: number;
}

/** The worker's view of the store changed, or something that nobody handled. */
export interface Noted extends Happened {
  readonly kind: 'degraded' | 'recovered' | 'unhandled';
  readonly error?: string | undefined;
}

/** The process stood still from `from` to `at`: its event loop, or the machine. */
export interface Stalled extends Happened {
  readonly kind: 'stalled';
  readonly from: number;
}

/** What the test did to the store: all that it knew is gone, it cannot be reached (or written), it can be again. */
export interface StoreFate extends Happened {
  readonly kind: 'forgot' | 'out' | 'back';
  /** It happened between this and `at`. */
  readonly asked: number;
}

export type HistoryEvent =
  | Decision
  | Held
  | ServerHeld
  | Begun
  | Told
  | CircuitSeen
  | CircuitChanged
  | Probed
  | Ran
  | Answered
  | Sent
  | Noted
  | Stalled
  | StoreFate;

export type History = readonly HistoryEvent[];

/** Now, on the clock that all processes of a machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The events of some kinds, in order. */
export function eventsOf<K extends HistoryEvent['kind']>(history: History, ...kinds: K[]): EventOf<K>[] {
  return history
    .filter((event): event is EventOf<K> => kinds.includes(event.kind as K))
    .sort((a, b) => a.at - b.at);
}

type EventOf<K extends HistoryEvent['kind']> = HistoryEvent & { readonly kind: K };

/** When `ms` have passed since `from`, without the time in which some process stood still. */
export function laterBy(history: History, from: number, ms: number): number {
  let end = from + ms;
  let counted = from;
  for (const pause of eventsOf(history, 'stalled').sort((a, b) => a.from - b.from)) {
    const begin = Math.max(counted, pause.from);
    if (begin >= end) break;
    end += Math.max(0, pause.at - begin);
    counted = Math.max(counted, pause.at);
  }
  return end;
}

/** Calls `note` after each time in which this process stood still; what ends that. */
export function watchStalls(
  note: (stall: { readonly from: number; readonly at: number }) => void,
): () => void {
  let last = monotonicMs();
  const timer = setInterval(() => {
    const at = monotonicMs();
    if (at - last > STALL_MS) note({ from: last, at });
    last = at;
  }, BEAT_MS).unref();
  return () => clearInterval(timer);
}

const BEAT_MS = 20;
const STALL_MS = 60;

/** The events, by what `of` says of each. */
export function groupBy<E>(events: readonly E[], of: (event: E) => string): Map<string, E[]> {
  const groups = new Map<string, E[]>();
  for (const event of events) {
    const group = groups.get(of(event));
    if (group === undefined) groups.set(of(event), [event]);
    else group.push(event);
  }
  return groups;
}
