import { describe, expect, it } from '@jest/globals';
import type { StateKey } from '../../lib/core/shared-state.js';
import type { StoreDriver } from '../../lib/shared-state/redis/drivers.js';
import { hashSlot } from '../../lib/shared-state/redis/hash-slot.js';
import { RedisState } from '../../lib/shared-state/redis/index.js';
import * as scripts from '../../lib/shared-state/redis/scripts.js';
import { StoreLateError } from '../../lib/shared-state/store-guard.js';
import { ManualClock } from '../../lib/testing/index.js';

const EPOCH_US = 1_750_000_000_000_000;
const WAY_MS = 1;
const TIMEOUT_MS = 50;
const request = { emissionUs: 1_000, toleranceUs: 10_000, want: 1, min: 1 };

type Nodes = Record<string, number>;

/** Servers whose clocks are off by so many milliseconds; the policy of a key says which of them has it. */
class Servers {
  readonly clock = new ManualClock({ now: 1_000 });
  /** Each request for units: how long after it was sent it would still have been granted, and whether it was. */
  readonly takes: { readonly node: string; readonly goodForMs: number; readonly late: boolean }[] = [];
  requests = 0;
  /** Who answers in a node's place. */
  readonly promoted = new Map<string, string>();

  constructor(
    private readonly offsetsMs: Nodes,
    /** What a client of a cluster knows. */
    private readonly nodeOf?: StoreDriver['nodeOf'],
  ) {}

  readonly run: StoreDriver['run'] = async (script, keys, [deadline]) => {
    this.requests++;
    const home = Servers.homeOf(String([keys].flat()[0]));
    const node = this.promoted.get(home) ?? home;
    const sentAt = this.clock.now();
    await this.way();
    const offsetMs = this.offsetsMs[node] as number;
    const nowUs = EPOCH_US + Math.round((this.clock.now() + offsetMs) * 1_000);
    const late = nowUs > Number(deadline);
    if (script === scripts.TAKE) {
      this.takes.push({
        node,
        goodForMs: (Number(deadline) - EPOCH_US) / 1_000 - offsetMs - sentAt,
        late,
      });
    }
    await this.way();
    if (late) return [nowUs, 'late'];
    return script === scripts.TAKE ? [nowUs, 'ok', 1, 0, 0, 9] : [nowUs, 'ok', '7.4.0'];
  };

  static homeOf(name: string): string {
    return name.split(':')[3] as string;
  }

  state(): RedisState {
    const { clock, run, nodeOf } = this;
    return new RedisState({ run, nodeOf }, { app: 'shop', clock, random: () => 0 });
  }

  async take(state: RedisState, policy: string): Promise<unknown> {
    const answer = state.take(keyOf(policy), request).catch((error: unknown) => error);
    await this.clock.advance(TIMEOUT_MS + 10);
    return answer;
  }

  private way(): Promise<void> {
    return new Promise((resolve) => this.clock.delay(WAY_MS, resolve));
  }
}

const keyOf = (policy: string): StateKey => ({ kind: 'rateLimit', policy, subject: '' });
const granted = expect.objectContaining({ granted: 1 });

describe('clocks of servers', () => {
  it.each([80, -80, 60_000])(
    'SS-06 each node of a cluster goes by its own: none is late by that of another, %d ms away, and none applies later than meant',
    async (offsetMs) => {
      const servers = new Servers({ here: 0, there: offsetMs }, Servers.homeOf);
      const state = servers.state();
      for (let i = 0; i < 20; i++) {
        expect(await servers.take(state, 'here')).toEqual(granted);
        expect(await servers.take(state, 'there')).toEqual(granted);
      }
      for (const { late, goodForMs } of servers.takes) {
        expect(late).toBe(false);
        expect(goodForMs).toBeLessThanOrEqual(TIMEOUT_MS);
        expect(goodForMs).toBeGreaterThan(TIMEOUT_MS - 10);
      }
      // Each is asked once what time it is.
      expect(servers.requests).toBe(40 + 2);
      expect(state.health).toMatchObject({ lost: false, failures: 0 });
    },
  );

  it('SS-06 where the client does not know the node yet, a key is asked what time it is there', async () => {
    let isConnected = false;
    const servers = new Servers({ here: 0, there: -80 }, (name) =>
      isConnected ? Servers.homeOf(name) : undefined,
    );
    const state = servers.state();
    for (const policy of ['here', 'there', 'here', 'there']) await servers.take(state, policy);
    expect(servers.requests).toBe(8);
    isConnected = true;
    for (const policy of ['here', 'there', 'here', 'there']) await servers.take(state, policy);
    expect(servers.requests).toBe(8 + 6);
    expect(servers.takes.filter(({ goodForMs }) => goodForMs > TIMEOUT_MS)).toEqual([]);
  });

  it('SS-06 a node that was not heard of for a minute is asked again: clocks drift apart', async () => {
    const servers = new Servers({ here: 0 }, Servers.homeOf);
    const state = servers.state();
    for (let i = 0; i < 10; i++) {
      await servers.take(state, 'here');
      await servers.clock.advance(30_000);
    }
    expect(servers.requests).toBe(11);
    await servers.clock.advance(60_000);
    await servers.take(state, 'here');
    expect(servers.requests).toBe(13);
  });

  it('SS-06 a server alone is asked once what time it is, and is sent nothing twice', async () => {
    const servers = new Servers({ here: 0, there: 0 });
    const state = servers.state();
    for (let i = 0; i < 10; i++) await servers.take(state, i % 2 === 0 ? 'here' : 'there');
    await servers.clock.advance(3_600_000);
    await servers.take(state, 'here');
    expect(servers.requests).toBe(12);
  });

  it.each([
    ['a server alone', undefined],
    ['a node of a cluster', Servers.homeOf],
  ])(
    'SS-09 %s in whose place another is, whose clock is ahead, is asked once more by that',
    async (_, nodeOf) => {
      const servers = new Servers({ here: 0, replica: 80 }, nodeOf);
      const state = servers.state();
      await servers.take(state, 'here');
      servers.promoted.set('here', 'replica');

      expect(await servers.take(state, 'here')).toEqual(granted);
      expect(await servers.take(state, 'here')).toEqual(granted);
      expect(servers.takes.map(({ late }) => late)).toEqual([false, true, false, false]);
      expect(servers.takes.filter(({ goodForMs }) => goodForMs > TIMEOUT_MS)).toEqual([]);
      expect(state.health.failures).toBe(0);
    },
  );

  it('SS-06 what is late by a second clock, too, is given up', async () => {
    const offsetsMs = { here: 0 };
    const servers = new Servers(offsetsMs);
    const state = servers.state();
    await servers.take(state, 'here');
    const answer = state.take(keyOf('here'), request).catch((error: unknown) => error);
    for (let i = 0; i < 5; i++) {
      offsetsMs.here += 80;
      await servers.clock.advance(2 * WAY_MS);
    }
    expect(await answer).toBeInstanceOf(StoreLateError);
    expect(servers.takes.map(({ late }) => late)).toEqual([false, true, true]);
  });

  it('SS-06 who waited for the time of a store that is lost meanwhile sends nothing', async () => {
    const clock = new ManualClock();
    const sent: string[] = [];
    const run: StoreDriver['run'] = async (script, keys) => {
      sent.push(script.name);
      if (String(keys).includes('broken')) throw new Error('ECONNRESET');
      await new Promise<void>((resolve) => clock.delay(10, resolve));
      return [EPOCH_US, 'ok', '7.4.0'];
    };
    const state = new RedisState({ run }, { app: 'shop', clock, random: () => 0 });
    const patient = state.cache.get(keyOf('fine')).catch((error: unknown) => error);
    for (let i = 0; i < 3; i++) await state.cache.get(keyOf('broken')).catch(() => undefined);
    expect(state.degraded).toBe(true);
    await clock.advance(10);
    expect(await patient).toMatchObject({ message: 'Nobody waits for the answer any more.' });
    expect(sent).toEqual(['clock', 'clock', 'clock', 'clock']);
  });
});

describe('hashSlot', () => {
  it.each([
    ['{123456789}', 12_739],
    ['resilience:{123456789}:v1', 12_739],
    ['x{foo}y', 12_182],
  ])('is that of the cluster specification: %s', (name, slot) => {
    expect(hashSlot(name)).toBe(slot);
  });
});
