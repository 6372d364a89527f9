import { describe, expect, it, jest } from '@jest/globals';
import { CircuitOpenError } from '../../../lib/core/errors.js';
import { EventHub } from '../../../lib/core/events.js';
import { Pipeline } from '../../../lib/pipeline/index.js';
import { BulkheadPolicy } from '../../../lib/policies/bulkhead/index.js';
import { FaultInjector } from '../../../lib/policies/chaos/fault-injector.js';
import { TargetMatcher, unknownTarget } from '../../../lib/policies/chaos/fault-target.js';
import type { LiveFault } from '../../../lib/policies/chaos/live-fault.js';
import type { FaultOptions } from '../../../lib/policies/chaos/live-fault.options.js';
import { CircuitBreakerPolicy } from '../../../lib/policies/circuit-breaker/index.js';
import { ManualClock } from '../../../lib/testing/index.js';
import { problemsOf } from '../../problems-of.js';

function setUp() {
  const clock = new ManualClock({ now: 5_000 });
  const events = new EventHub();
  const environment = { clock, events, random: () => 0 };
  const breaker = new CircuitBreakerPolicy('gateway', {}, environment);
  const lonely = new CircuitBreakerPolicy('lonely', {}, environment);
  const bulkhead = new BulkheadPolicy('gateway', {}, environment);
  const injector = new FaultInjector(environment, () => [breaker, lonely]);
  const pipelineOf = (name: string, policies: [CircuitBreakerPolicy | BulkheadPolicy]) =>
    new Pipeline(name, policies, clock, undefined, injector.join({ name, policies }));
  const charge = pipelineOf('Payments.charge', [breaker]);
  const search = pipelineOf('Shop.search', [bulkhead]);
  const call = (pipeline = charge) => pipeline.execute(() => 'fine').catch((error: unknown) => error);
  return { clock, events, breaker, lonely, injector, charge, search, call };
}

describe('FaultInjector', () => {
  it('CH-02 counts all faults, and the calls that they hit, ended ones included', async () => {
    const { injector, call } = setUp();
    const first = injector.start({ target: 'Payments.charge', error: 500 });
    await call();
    first.stop();
    injector.start({ target: 'Payments.charge', error: 500 });
    await call();
    await call();

    expect(injector.stats()).toEqual({ activeFaults: 1, totalFaults: 2, totalInjected: 3 });
    expect([first.remainingMs, first.endedBy, first.stop()]).toEqual([0, 'stopped', false]);
    expect([injector.stop('fault-2'), injector.stop('fault-2')]).toEqual([true, false]);
    expect(injector.stats()).toEqual({ activeFaults: 0, totalFaults: 2, totalInjected: 3 });
  });

  it('CH-01 tells of what it hits when it begins, and of how it ended', async () => {
    const { clock, events, injector } = setUp();
    const seen: unknown[] = [];
    events.listen(({ type, details }) => seen.push([type, details]));
    injector.start({ target: 'Payments.*', latency: 5, duration: '1s' });
    injector.stop(injector.start({ target: 'Shop.search', latency: 5 }).id);
    await clock.advance(1_000);

    expect(seen).toEqual([
      ['started', { fault: 'latency', targets: ['Payments.charge'] }],
      ['started', { fault: 'latency', targets: ['Shop.search'] }],
      ['ended', { fault: 'latency', by: 'stopped', totalInjected: 0 }],
      ['ended', { fault: 'latency', by: 'time', totalInjected: 0 }],
    ]);
  });

  it('CH-02 a tripped circuit counts what it refuses while it is tripped, before or after not', async () => {
    const { breaker, injector, call } = setUp();
    breaker.forceOpen('by hand');
    await call();
    breaker.close();
    const fault = injector.start({ target: 'gateway', fault: 'circuit-open' });
    const refusal = await call();
    await call();
    const meanwhile = [fault.totalCalls, fault.totalInjected];
    fault.stop();
    breaker.forceOpen('by hand');
    await call();

    expect(meanwhile).toEqual([2, 2]);
    expect([fault.totalCalls, fault.totalInjected]).toEqual([2, 2]);
    expect(refusal).toMatchObject({
      cause: { policy: 'fault-1', message: 'The circuit was forced open by chaos "fault-1".' },
    });
  });

  it('CH-02 any of its targets may be a circuit, also one in no pipeline', () => {
    const { breaker, lonely, injector } = setUp();

    const fault = injector.start({ target: ['lonely', 'gateway'], fault: 'circuit-open' });

    expect([breaker.state, lonely.state]).toEqual(['forced-open', 'forced-open']);
    expect(fault.targets).toEqual(['Shop.search', 'gateway', 'lonely']);
    fault.stop();
    expect([breaker.state, lonely.state]).toEqual(['closed', 'closed']);
    expect(breaker.stats().reason).toBe('chaos has ended');
  });

  it('CH-02 a tripped circuit is in every pipeline that it is for, as a breaker or as a fault', async () => {
    const { breaker, injector, clock, search, call } = setUp();
    const target = ['Shop.search', { kind: 'circuitBreaker', name: 'gateway' }] as const;

    const fault = injector.start({ target, fault: 'circuit-open' });
    const answers = [await call(), await call(search)];
    const policies = [breaker];
    const more = new Pipeline(
      'Shop.refund',
      policies,
      clock,
      undefined,
      injector.join({ name: 'x', policies }),
    );
    await call(more);

    expect(fault.targets).toEqual(['Shop.search', 'gateway']);
    expect(answers.every((answer) => answer instanceof CircuitOpenError)).toBe(true);
    expect([fault.totalInjected, breaker.stats().totalRejected, injector.stats().totalInjected]).toEqual([
      3, 2, 3,
    ]);
    fault.stop();
    expect([await call(), await call(search)]).toEqual(['fine', 'fine']);
  });

  it('CH-02 what a tripped circuit refuses is counted once, and a reset takes nothing back', async () => {
    const { breaker, injector, call } = setUp();
    const target = { kind: 'circuitBreaker', name: 'gateway' } as const;
    breaker.forceOpen('by hand');
    for (let i = 0; i < 7; i++) await call();
    breaker.close();
    const first = injector.start({ target, fault: 'circuit-open' });
    for (let i = 0; i < 5; i++) await call();
    const counts = [injector.stats().totalInjected];
    breaker.reset();
    counts.push(injector.stats().totalInjected);
    const second = injector.start({ target, fault: 'circuit-open' });
    await call();
    second.stop();
    const refusal = await call();
    breaker.forceOpen('by hand');
    await call();
    first.stop();
    await call();

    expect(counts).toEqual([5, 5]);
    expect(refusal).toMatchObject({ cause: { policy: 'fault-1' } });
    expect([first.totalInjected, second.totalInjected]).toEqual([6, 1]);
    expect(injector.stats().totalInjected).toBe(7);
  });

  it('CH-02 nobody listens once no circuit is forced', () => {
    const { events, injector } = setUp();

    const faults = ['gateway', 'lonely'].map((target) => injector.start({ target, fault: 'circuit-open' }));

    expect(events.wants('circuitBreaker', 'rejected')).toBe(true);
    for (const fault of faults) fault.stop();
    expect(events.active).toBe(false);
  });

  it('CH-02 other faults are for pipelines, and force no circuit', async () => {
    const { breaker, injector, call } = setUp();
    const fault = injector.start({ target: 'gateway', fault: 'service-unavailable' });

    expect(await call()).toMatchObject({ status: 503 });
    expect(breaker.state).not.toBe('forced-open');
    expect(fault.targets).toEqual(['Payments.charge', 'Shop.search']);
  });

  it('CH-02 a circuit in no pipeline is beyond other faults, and the error says so', () => {
    const { injector } = setUp();

    expect(() => injector.start({ target: 'lonely', fault: 'service-unavailable' })).toThrow(
      'Circuit breaker "lonely" stands in no pipeline: only "circuit-open" at every call reaches it.',
    );
    expect(() => injector.start({ target: 'lonely', fault: 'circuit-open', every: 2 })).toThrow(
      'no pipeline',
    );
  });

  it.each(['disable', 'meterOnly', 'forceOpen'] as const)(
    'CH-02 a circuit that was told to %s is told so again, with the same reason',
    (decide) => {
      const { breaker, injector } = setUp();
      breaker[decide]('maintenance');
      const before = breaker.state;

      injector.start({ target: 'gateway', fault: 'circuit-open' }).stop();

      expect([breaker.state, breaker.stats().reason]).toEqual([before, 'maintenance']);
    },
  );

  it('CH-02 a circuit that somebody closed meanwhile stays closed', () => {
    const { breaker, injector } = setUp();
    breaker.meterOnly('watching');
    const fault = injector.start({ target: 'gateway', fault: 'circuit-open' });
    const { reason } = breaker.stats();
    breaker.close(reason);

    fault.stop();

    expect(breaker.state).toBe('closed');
  });

  it('CH-02 a kind tells policies of one name apart', async () => {
    const { injector, call, search } = setUp();

    injector.start({ target: { kind: 'bulkhead', name: 'gateway' }, error: 500 });

    expect(await call()).toBe('fine');
    expect(await call(search)).toMatchObject({ status: 500 });
  });

  it('CH-02 an injector without breakers knows pipelines alone', () => {
    const injector = new FaultInjector({ clock: new ManualClock() });
    injector.join({ name: 'Payments.charge', policies: [] });

    expect(injector.start({ target: '*', fault: 'circuit-open' }).targets).toEqual(['Payments.charge']);
    expect(problemsOf(() => injector.start({ target: 'x', fault: 'circuit-open' }))[0]?.option).toBe(
      'target',
    );
  });

  it.each<[Partial<FaultOptions>, string[]]>([
    [{ blastRadius: 'minimal', target: '*' }, ['target']],
    [{ blastRadius: 'minimal', ratePercent: 11 }, ['ratePercent']],
    [{ blastRadius: 'minimal', duration: '61s' }, ['duration']],
    [{ blastRadius: 'minimal', ratePercent: 10, duration: '1m' }, []],
    [{ blastRadius: 'minimal', ratePercent: 20, every: 2 }, []],
    [{ blastRadius: 'extensive' }, ['approvedBy']],
    [{ target: 'nothing' }, ['target']],
    [{ target: ['Payments.charge', 'nothing'] }, ['target']],
  ])('CH-05 of %j it refuses %j', (options, refused) => {
    const { injector } = setUp();
    const problems = problemsOf(() => injector.start({ target: 'Payments.charge', error: 500, ...options }));

    expect(problems.map(({ where, option }) => [where, option])).toEqual(
      refused.map((option) => ['fault "fault-1"', option]),
    );
  });

  it('CH-05 circuits that stand alone count as much as pipelines', () => {
    const clock = new ManualClock();
    const breakers = Array.from({ length: 11 }, (_, i) => new CircuitBreakerPolicy(`x${i}`, {}, { clock }));
    const injector = new FaultInjector({ clock }, () => breakers);
    const target = { kind: 'circuitBreaker', name: 'x*' } as const;
    const problem = () =>
      problemsOf(() =>
        injector.start({ target, fault: 'circuit-open', blastRadius: 'limited', ratePercent: 100 }),
      )[0];
    const alone = problem();
    injector.join({ name: 'Shop.search', policies: breakers.slice(0, 2) });
    injector.join({ name: 'Shop.refund', policies: breakers.slice(2, 3) });
    const together = problem();
    const states = breakers.map(({ state }) => state);
    const fault = injector.start({ target, fault: 'circuit-open' });
    const late = injector.join({
      name: 'late',
      policies: [new CircuitBreakerPolicy('x-late', {}, { clock })],
    });

    expect([alone, together]).toMatchObject([
      { option: 'target', message: expect.stringMatching(/^It hits 11 circuit breakers, and a /) },
      {
        option: 'target',
        message: expect.stringMatching(/^It hits 2 pipelines and 8 circuit breakers, and /),
      },
    ]);
    expect(states).toEqual(breakers.map(() => 'closed'));
    expect(fault.targets).toHaveLength(11);
    expect(late()).toEqual([]);
  });

  it('CH-05 a pipeline with a tripped circuit is a target, and one without is another', async () => {
    const { breaker, injector, call, search } = setUp();
    for (let i = 0; i < 8; i++) injector.join({ name: `Shop.${i}`, policies: [] });
    const target = ['Shop.*', { kind: 'circuitBreaker', name: 'gateway' }] as const;
    const fault = injector.start({ target, fault: 'circuit-open' });
    const late = injector.join({ name: 'Shop.late', policies: [] });

    // And the pipeline of the circuit, which makes ten, and ten are allowed.
    expect(fault.targets).toHaveLength(10);
    expect(late()).toEqual([]);
    expect(breaker.state).toBe('forced-open');
    expect(await call(search)).toBeInstanceOf(CircuitOpenError);
  });

  it('CH-02 when it is closed nothing begins any more, and the error says so', () => {
    const { injector } = setUp();
    injector.close();

    expect(problemsOf(() => injector.start({ target: 'Payments.charge', error: 500 }))).toEqual([
      { where: 'fault "fault-1"', option: 'enabled', message: expect.stringContaining('shuts down') },
    ]);
  });

  it('CH-02 a circuit that two faults hold is told once by whom, and is left alone where somebody closed it', async () => {
    const { breaker, events, injector } = setUp();
    const [first, second, third] = [1, 2, 3].map(() =>
      injector.start({ target: 'gateway', fault: 'circuit-open' }),
    ) as [LiveFault, LiveFault, LiveFault];
    const seen: string[] = [];
    events.listen(({ kind, type }) => {
      if (kind === 'circuitBreaker') seen.push(type);
    });
    first.stop();
    expect([breaker.state, seen]).toEqual(['forced-open', []]);

    breaker.close('enough');
    third.stop();
    expect(breaker.state).toBe('closed');
    second.stop();
    expect(breaker.stats().reason).toBe('enough');
  });

  it('CH-02 what other circuits refuse meanwhile is nobody’s', async () => {
    const { lonely, injector } = setUp();
    const fault = injector.start({ target: 'gateway', fault: 'circuit-open' });
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
    lonely.forceOpen('by hand');
    await lonely.execute(() => 'fine').catch(() => undefined);
    const warnings = warn.mock.calls.length;
    warn.mockRestore();

    expect([warnings, fault.totalInjected]).toEqual([0, 0]);
  });

  it.each<[unknown]>([
    [[]],
    [['Payments.charge', '']],
    [['Payments.charge', 5]],
    [['Payments.charge', null]],
    [['Payments.charge', { kind: 'nothing', name: 'gateway' }]],
    [[{ pipeline: 5 }]],
  ])('PL-07 a list of targets is not %j', (target) => {
    const { injector } = setUp();

    expect(problemsOf(() => injector.start({ target: target as never, error: 500 }))).toEqual([
      {
        where: 'fault "fault-1"',
        option: 'target',
        message: '"target" must be a list of names, of { kind, name } or of { pipeline }, and not empty.',
      },
    ]);
  });

  it('CH-02 a list of targets may hold all their forms', () => {
    const { injector } = setUp();
    const target = [
      'Shop.*',
      { kind: 'bulkhead', name: 'gateway' },
      { pipeline: 'Payments.charge' },
    ] as const;

    expect(injector.start({ target, error: 500, fault: 'error', every: 1, name: 'all' }).targets).toEqual([
      'Payments.charge',
      'Shop.search',
    ]);
  });
});

describe('a target', () => {
  const named = (name: string) => ({ name, policies: [] });

  it('CH-02 a name stands for itself, and a star for anything', () => {
    const matches = (target: string, name: string) => new TargetMatcher(target).matches(named(name));

    expect(matches('a.b', 'a.b')).toBe(true);
    expect([matches('a.b', 'aXb'), matches('a.b', 'xa.b'), matches('a.b', 'a.bx')]).toEqual([
      false,
      false,
      false,
    ]);
    expect([matches('*.b', 'a\n.b'), matches('a*', 'a'), matches('a*c', 'ab')]).toEqual([true, true, false]);
  });

  it('CH-02 a target that nothing answers to is shown, with what is near or what there is', () => {
    const many = Array.from({ length: 12 }, (_, index) => `method ${index}`);
    const near = ['charge1', 'charge2', 'charge3', 'charge4'];

    expect(unknownTarget({ pipeline: 'x' }, [])).toBe(
      'Nothing that is protected answers to pipeline "x". No method is protected yet.',
    );
    expect(unknownTarget({ kind: 'retry', name: 'xyz' }, ['one', 'payments'])).toBe(
      'Nothing that is protected answers to retry "xyz". There are "one", "payments".',
    );
    expect(unknownTarget('charge', near)).toContain('Did you mean "charge1", "charge2" or "charge3"?');
    expect(unknownTarget('xyz', many)).toMatch(/There are "method 0", .*"method 9" and 2 more\.$/);
    expect(unknownTarget('xyz', many.slice(0, 10))).toMatch(/"method 9"\.$/);
  });
});
