import { openSync, writeSync } from 'node:fs';
import type { CircuitView, SharedState } from '../../../lib/core/shared-state.js';
import type { StoreDriver } from '../../../lib/shared-state/redis/drivers.js';
import { monotonicMs, watchStalls, type HistoryEvent } from '../histories/history.js';

/** An event without who and, where it is now, when. */
type Unsigned<E> = E extends HistoryEvent ? Omit<E, 'worker' | 'at'> & { readonly at?: number } : never;

/** Writes down what happens in this process, at once: what a process knew is there when it has been killed. */
export class Recorder {
  private readonly file: number;

  constructor(
    readonly worker: string,
    path: string,
  ) {
    this.file = openSync(path, 'a');
    watchStalls((stall) => this.record({ kind: 'stalled', ...stall }));
  }

  record(event: Unsigned<HistoryEvent>): void {
    const { worker } = this;
    writeSync(this.file, `${JSON.stringify({ worker, at: monotonicMs(), ...event })}\n`);
  }
}

/** A driver that writes down what is sent. */
export function recordedDriver(driver: StoreDriver, recorder: Recorder): StoreDriver {
  let calls = 0;
  return {
    async run(script, key, args) {
      const call = ++calls;
      recorder.record({ kind: 'sent', script: script.name, call });
      try {
        return await driver.run(script, key, args);
      } finally {
        recorder.record({ kind: 'settled', script: script.name, call });
      }
    },
  };
}

/** A state that writes down what is asked of idempotency, and tells `onLoss` of rate limits that were not answered. */
export function recordedState(state: SharedState, recorder: Recorder, onLoss: () => () => void): SharedState {
  const { once } = state;
  return {
    permits: state.permits,
    circuit: {
      sync: (key, report) => seen(key.policy, () => state.circuit.sync(key, report)),
      probe: (key, request) => seen(key.policy, () => state.circuit.probe(key, request)),
      settle: (key, result) => seen(key.policy, () => state.circuit.settle(key, result)),
    },
    cache: state.cache,
    presence: state.presence,
    close: () => state.close(),
    take(...request) {
      const lost = onLoss();
      const answer = state.take(...request);
      answer.catch(lost);
      return answer;
    },
    once: {
      async begin(key, fingerprint, leaseMs) {
        const asked = monotonicMs();
        const event = {
          kind: 'begun',
          key: key.subject,
          asked,
          fingerprint,
          until: asked + leaseMs,
        } as const;
        try {
          const begun = await once.begin(key, fingerprint, leaseMs);
          recorder.record({
            ...event,
            answer: begun.kind,
            fence: begun.kind === 'run' ? begun.fence : undefined,
            outcome: begun.kind === 'replay' ? begun.outcome : undefined,
          });
          return begun;
        } catch (error) {
          recorder.record({ ...event, answer: 'lost' });
          throw error;
        }
      },
      complete: (key, fence, outcome, ttlMs) =>
        told('completed', key.subject, fence, () => once.complete(key, fence, outcome, ttlMs), outcome),
      async fail(key, fence) {
        await told('failed', key.subject, fence, async () => {
          await once.fail(key, fence);
          return true;
        });
      },
      beat: (key, fence, leaseMs) =>
        told('beat', key.subject, fence, () => once.beat(key, fence, leaseMs), undefined, leaseMs),
    },
  };

  async function seen<V extends CircuitView>(key: string, ask: () => Promise<V>): Promise<V> {
    const asked = monotonicMs();
    const view = await ask();
    recorder.record({ kind: 'circuit-seen', key, asked, version: view.version, open: view.open });
    return view;
  }

  async function told(
    kind: 'completed' | 'failed' | 'beat',
    key: string,
    fence: number,
    tell: () => Promise<boolean>,
    outcome?: string,
    leaseMs = 0,
  ): Promise<boolean> {
    const asked = monotonicMs();
    const event = { kind, key, asked, fence, until: asked + leaseMs, outcome };
    try {
      const kept = await tell();
      recorder.record({ ...event, kept });
      return kept;
    } catch (error) {
      recorder.record({ ...event, kept: undefined });
      throw error;
    }
  }
}
