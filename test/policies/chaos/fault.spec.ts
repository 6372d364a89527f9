import { describe, expect, it } from '@jest/globals';
import { ChaosInjectedError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { ChaosPolicy, type ChaosOptions } from '../../../lib/policies/chaos/index.js';
import { drawLatency } from '../../../lib/policies/chaos/latency.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { problemsOf } from '../../problems-of.js';

function setUp(options: ChaosOptions, random = () => 0) {
  const clock = new ManualClock({ now: 1_000 });
  const events = new EventHub();
  const chaos = new ChaosPolicy('payments', { enabled: true, ...options }, { clock, random, events });
  const call = () => chaos.execute(() => 'receipt').catch((error: unknown) => error);
  return { clock, chaos, events, call };
}

const refusalOf = (options: ChaosOptions, processEnv = {}) =>
  problemsOf(() => new ChaosPolicy('payments', options, { processEnv }));

describe('a fault', () => {
  it.each([
    [0, 'ECONNREFUSED', 'connect'],
    [0.49, 'ECONNREFUSED', 'connect'],
    [0.5, 'ECONNRESET', 'read'],
  ])('CH-02 a partition, drawn at %d, is %s', async (drawn, code, syscall) => {
    const { call } = setUp({ fault: 'partition' }, () => drawn);

    expect(await call()).toMatchObject({
      code,
      syscall,
      message: `${syscall} ${code} (injected by chaos "payments")`,
    });
  });

  it.each<[ChaosOptions, object]>([
    [{ fault: 'timeout', latency: 0 }, { message: 'Chaos "payments" injected a timeout.' }],
    [{ fault: 'circuit-open' }, { message: 'Chaos "payments" injected an open circuit.' }],
    [{ fault: 'resource-exhausted' }, { message: 'Chaos "payments" injected an exhausted resource.' }],
    [{ fault: 'service-unavailable' }, { message: 'Chaos "payments" injected an unavailable service.' }],
    [{ error: 502 }, { message: 'Chaos "payments" injected status 502.', status: 502 }],
    [{ error: () => 'text' }, { message: 'Chaos "payments" injected text.', cause: 'text' }],
  ])('CH-01 %j says that it was injected, and by which policy', async (options, expected) => {
    expect(await setUp(options).call()).toMatchObject({ policy: 'payments', ...expected });
  });

  it.each([Error, RangeError])('CH-02 a class is made with a message: %p', async (given) => {
    const error = await setUp({ error: given }).call();

    expect(error).toBeInstanceOf(given);
    expect((error as Error).message).toBe(`Chaos "payments" injected ${given.name}.`);
  });

  it('CH-02 a method may be no class at all: a function that makes an error is called', async () => {
    const error = Object.assign(new Error('made'), { status: 418 });

    expect(await setUp({ error: () => error }).call()).toBe(error);
    expect(await setUp({ error }).call()).toBe(error);
  });

  it('CH-01 its event names a latency where there is one, and a reset says so', async () => {
    const { clock, chaos, events, call } = setUp({ error: 500 });
    const seen: unknown[] = [];
    events.listen(({ type, details }) => seen.push([type, details && Object.keys(details)]));
    await call();
    chaos.reset();
    await clock.advance(0);

    expect(seen).toEqual([
      ['injected', ['fault']],
      ['cleared', undefined],
    ]);
  });

  it('CH-01 a rate leaves out what is drawn at or above it, and one of 100 draws nothing', async () => {
    const hit = async (ratePercent: number, drawn: () => number) =>
      (await setUp({ error: 500, ratePercent }, drawn).call()) instanceof ChaosInjectedError;
    let draws = 0;

    expect([await hit(25, () => 0.249), await hit(25, () => 0.25)]).toEqual([true, false]);
    await setUp({ result: 'wrong' }, () => draws++).call();
    expect(draws).toBe(0);
  });

  it('CH-02 another duration begins anew, other options do not', async () => {
    const { clock, chaos, call } = setUp({ error: 500, duration: '10s', firstCalls: 1 });
    await call();
    await clock.advance(4_000);
    chaos.update({ ratePercent: 100 });
    const left = [chaos.stats().remainingMs, await call()];
    chaos.update({ duration: '5s' });

    expect([...left, chaos.stats().remainingMs]).toEqual([6_000, 'receipt', 5_000]);
    expect(await call()).toBeInstanceOf(ChaosInjectedError);
    await clock.advance(6_000);
    expect(chaos.stats()).toMatchObject({ active: false, remainingMs: undefined });
    expect(setUp({ error: 500 }).chaos.stats()).toMatchObject({ active: true, remainingMs: undefined });
  });

  it('CH-02 a call that is kept for just as long as the fault lasts meets it', async () => {
    const { clock, chaos, call } = setUp({ error: 500, latency: '5s', duration: '5s' });
    const kept = call();
    await clock.advance(5_000);

    expect(await kept).toBeInstanceOf(ChaosInjectedError);
    expect(chaos.stats()).toMatchObject({ totalInjected: 1, totalReleased: 0, waiting: 0 });
  });

  it('CH-02 a normal latency goes by Box and Muller', () => {
    const numbers = [1 - Math.exp(-0.5), 0, 1 - Math.exp(-2), 0.5];
    const random = () => numbers.shift() as number;
    const latency = { mean: 1_000, deviation: 100 };

    expect(drawLatency(latency, random)).toBeCloseTo(1_100, 6);
    expect(drawLatency(latency, random)).toBeCloseTo(800, 6);
  });

  it('describes a normal latency', () => {
    const { chaos } = setUp({ latency: { mean: '1s', deviation: 200 } });

    expect(chaos.describe()).toBe('injects latency of 1 s ± 200 ms into 100 % of calls');
  });

  it.each<[ChaosOptions, string | undefined, string]>([
    [{ error: 500, result: 1 }, 'result', '"error" and "result" exclude each other'],
    [{ fault: 'timeout', error: 500 }, 'error', '"error" does not go with the fault "timeout".'],
    [{ fault: 'timeout', result: 1 }, 'result', '"result" does not go with the fault "timeout".'],
    [{ enabled: true }, 'enabled', '"enabled" needs something to inject'],
    [{ error: [] }, 'error', 'got an empty list.'],
    [{ error: [500, 'text' as never] }, 'error', 'got "text".'],
    [{ latency: { min: 2, max: 1 } }, 'latency', '"latency.min" must be at most "latency.max"'],
  ])('PL-07 of %j it refuses "%s"', (options, option, message) => {
    expect(refusalOf(options)).toEqual([
      { where: 'chaos "payments"', option, message: expect.stringContaining(message) },
    ]);
  });

  it.each<[ChaosOptions]>([
    [{ fault: 'error', error: 500 }],
    [{ fault: 'wrong-result', result: 1 }],
    [{ latency: { min: 1, max: 1 } }],
    [{ latency: { mean: 1, deviation: 1 } }],
    [{ error: [500, Error, () => new Error('made'), new Error('given')] }],
  ])('PL-07 takes %j', (options) => {
    expect(refusalOf(options)).toEqual([]);
  });

  it('CH-01 says what production lacks, and only that', () => {
    const refused = (options: ChaosOptions, variables: object) =>
      refusalOf(
        { enabled: true, error: 500, ...options },
        { NODE_ENV: 'production', ...variables },
      )[0]?.message.replace(/^.*; /, '');

    const variable = 'the environment variable RESILIENCE_CHAOS is not "allow"';
    expect(refused({}, {})).toBe(`"allowInProduction" is not true, and ${variable}.`);
    expect(refused({ allowInProduction: true }, {})).toBe(`${variable}.`);
    expect(refused({}, { RESILIENCE_CHAOS: 'allow' })).toBe('"allowInProduction" is not true.');
  });
});
