import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { resilienceSchema } from '../../lib/config/json-schema.js';
import {
  CircuitBreaker,
  CircuitBreakerPolicy,
  ResilienceModule,
  ResilienceService,
  resilienceConfig,
  resilienceConfigFromEnv,
} from '../../lib/index.js';
import { problemsOf } from '../problems-of.js';

const YAML = `
circuitBreakers:
  default: { failureThreshold: 7, openDuration: 20s }
  strict: { failureThreshold: 2, ignoreErrors: [404, NotFoundError, { status: { from: 410, to: 422 } }] }
  payments: { baseConfig: strict, openDuration: 45s }
  refunds: { baseConfig: payments, successThreshold: 1 }
bulkheads:
  payments: { maxConcurrent: 20, shedAbovePercent: { LOW: 60 } }
http: { rateLimitHeaders: both }
order: [retry, circuitBreaker]
enabled: true
`;

const refusalOf = (run: () => unknown) => problemsOf(run).map(({ where, message }) => `${where}: ${message}`);

describe('resilienceConfig', () => {
  it('CF-01 takes what a file says, with defaults and bases, and the application runs by it', async () => {
    @Injectable()
    class Payments {
      @CircuitBreaker('payments')
      async charge() {
        return 'charged';
      }
    }
    const options = resilienceConfig(parse(YAML) as object);
    expect(options.defaults).toEqual({ circuitBreaker: { failureThreshold: 7, openDuration: '20s' } });
    const module = await Test.createTestingModule({
      imports: [ResilienceModule.forRoot(options)],
      providers: [Payments],
    }).compile();
    const resilience = module.get(ResilienceService);
    const { payments, refunds } = resilience.stats().circuitBreakers;
    expect(payments?.config).toMatchObject({
      failureThreshold: 2,
      openDurationMs: 45_000,
      successThreshold: 3,
    });
    expect(refunds?.config).toMatchObject({
      failureThreshold: 2,
      openDurationMs: 45_000,
      successThreshold: 1,
    });
    expect(resilience.circuitBreaker('other').stats().config).toMatchObject({
      failureThreshold: 7,
      openDurationMs: 20_000,
    });
    await module.close();
  });

  it('CF-01 names everything that is wrong at once', () => {
    const wrong = {
      circuitbreakers: {},
      retries: [],
      bulkheads: { reads: 20, writes: { baseConfig: 'nobody' } },
      timeouts: { a: { baseConfig: 'b' }, b: { baseConfig: 'a' }, c: { baseConfig: 'c' } },
      clock: {},
    };
    expect(refusalOf(() => resilienceConfig(wrong))).toEqual([
      'resilienceConfig: "circuitbreakers" is nothing that a configuration says; did you mean "circuitBreakers"?',
      expect.stringContaining('resilienceConfig: "clock" is nothing that a configuration says; it takes '),
      'resilienceConfig: "retries" must be an object of policies by name, got [].',
      'resilienceConfig: "bulkheads.reads" must be an object of options, got 20.',
      'resilienceConfig: "bulkheads.writes.baseConfig" must be the name of one of "bulkheads", got "nobody".',
      'resilienceConfig: "timeouts.a.baseConfig" leads back to itself: a → b → a.',
      'resilienceConfig: "timeouts.b.baseConfig" leads back to itself: b → a → b.',
      'resilienceConfig: "timeouts.c.baseConfig" leads back to itself: c → c.',
    ]);
  });

  it('CF-01 with what is wrong inside of policies, where anything else is wrong', () => {
    const wrong = {
      timeout: {},
      circuitBreakers: { default: { openDuratoin: '1s' }, payments: { failureThreshold: -1 } },
    };
    expect(refusalOf(() => resilienceConfig(wrong))).toEqual([
      expect.stringContaining('"timeout" is nothing that a configuration says; did you mean "timeouts"?'),
      expect.stringMatching(
        /circuitBreakers\.default: "openDuratoin" is not .* did you mean "openDuration"\?/,
      ),
      expect.stringMatching(/circuitBreakers\.payments: "failureThreshold" must be .*, got -1\./),
    ]);
  });

  it.each([[undefined], [null], [5], [true], [[]], ['timeouts']])('CF-01 %j is no configuration', (given) => {
    expect(refusalOf(() => resilienceConfig(given as never))).toEqual([
      expect.stringContaining('resilienceConfig: A configuration must be an object, got '),
    ]);
  });

  it('CF-01 knows no names but those that stand in the file', () => {
    const bases = { retries: { a: { baseConfig: 'toString' }, b: { baseConfig: '__proto__' } } };

    expect(refusalOf(() => resilienceConfig(bases))).toEqual([
      'resilienceConfig: "retries.a.baseConfig" must be the name of one of "retries", got "toString".',
      'resilienceConfig: "retries.b.baseConfig" must be the name of one of "retries", got "__proto__".',
    ]);
    expect(resilienceConfig({ retries: { constructor: { maxRetries: 1 } } }).retries).toEqual({
      constructor: { maxRetries: 1 },
    });
  });

  it('CF-01 drops nothing that a file says, not even a prototype', async () => {
    const parsed = (text: string) => JSON.parse(text) as object;
    const policy = parsed('{"circuitBreakers":{"__proto__":{"failureThreshold":1}}}');
    const option = parsed('{"timeouts":{"a":{"__proto__":{"duration":"1s"}}}}');
    const kind = parsed('{"__proto__":{"timeouts":{}}}');

    expect(refusalOf(() => resilienceConfig(policy))).toEqual([
      'resilienceConfig: "circuitBreakers.__proto__" cannot be: "__proto__" is no name for a policy.',
    ]);
    await expect(
      Test.createTestingModule({ imports: [ResilienceModule.forRoot(resilienceConfig(option))] }).compile(),
    ).rejects.toThrow('timeouts.a: "__proto__" is not an option of');
    expect(refusalOf(() => resilienceConfig(kind))).toEqual([
      expect.stringContaining('"__proto__" is nothing that a configuration says'),
    ]);
  });

  it('CF-01 changes nothing in what it was given', () => {
    const given = { retries: { default: { maxRetries: 1 }, a: { baseConfig: 'default' } } };
    const before = structuredClone(given);
    expect(resilienceConfig(given)).toEqual({
      retries: { a: { maxRetries: 1 } },
      defaults: { retry: { maxRetries: 1 } },
    });
    expect(given).toEqual(before);
  });
});

describe('resilienceConfigFromEnv', () => {
  it('CF-02 reads every kind of option', () => {
    const env = {
      PATH: '/bin',
      RESILIENCE_CIRCUIT_BREAKERS__DEFAULT__FAILURE_THRESHOLD: '5',
      RESILIENCE_CIRCUIT_BREAKERS__PAYMENTS__OPEN_DURATION: '30s',
      RESILIENCE_CIRCUIT_BREAKERS__PAYMENTS__WINDOW__CALLS: '50',
      RESILIENCE_CIRCUIT_BREAKERS__PAYMENTS__FAILURE_RATE_PERCENT: '12.5',
      RESILIENCE_circuitBreakers__payments__window__calls: '60',
      RESILIENCE_CIRCUIT_BREAKERS__CARD_SERVICE__WINDOW: '{"duration":"10s"}',
      RESILIENCE_CIRCUIT_BREAKERS__CARD_SERVICE__IGNORE_ERRORS: '404, NotFoundError',
      RESILIENCE_CIRCUIT_BREAKERS__cardService__SHARED: 'true',
      RESILIENCE_RETRIES__PAYMENTS__RETRY_ON_STATUS: '429,503',
      RESILIENCE_RETRIES__PAYMENTS__BUDGET__PERCENT: '20',
      RESILIENCE_RETRIES__PAYMENTS__BASE_DELAY: '250',
      RESILIENCE_BULKHEADS__READS__SHED_ABOVE_PERCENT__LOW: '60',
      RESILIENCE_HTTP__RATE_LIMIT_HEADERS: 'BOTH',
      RESILIENCE_ENABLED: 'false',
      RESILIENCE_MAX_POLICIES: '100',
      RESILIENCE_ORDER: 'retry, circuitBreaker',
    };
    expect(resilienceConfigFromEnv({ env })).toEqual({
      defaults: { circuitBreaker: { failureThreshold: 5 } },
      circuitBreakers: {
        payments: { openDuration: '30s', window: { calls: 60 }, failureRatePercent: 12.5 },
        'card-service': { window: { duration: '10s' }, ignoreErrors: [404, 'NotFoundError'], shared: true },
      },
      retries: { payments: { retryOnStatus: [429, 503], budget: { percent: 20 }, baseDelay: 250 } },
      bulkheads: { reads: { shedAbovePercent: { LOW: 60 } } },
      http: { rateLimitHeaders: 'both' },
      enabled: false,
      maxPolicies: 100,
      order: ['retry', 'circuitBreaker'],
    });
  });

  it('CF-02 lies over a file, and knows the names of its policies', () => {
    const base = { timeouts: { cardService: { duration: '1s' }, search: { duration: '2s' } } };
    const env = { MY_TIMEOUTS__CARD_SERVICE__DURATION: '5s', RESILIENCE_ENABLED: 'false' };
    expect(resilienceConfigFromEnv({ env, base, prefix: 'MY_' })).toEqual({
      defaults: {},
      timeouts: { cardService: { duration: '5s' }, search: { duration: '2s' } },
    });
    expect(base.timeouts.cardService.duration).toBe('1s');
  });

  it('CF-02 leaves the permission for chaos to chaos', () => {
    const env = { RESILIENCE_CHAOS: 'allow', RESILIENCE_CHAOS__ALLOW_IN_PRODUCTION: 'true' };
    expect(resilienceConfigFromEnv({ env })).toEqual({ defaults: {}, chaos: { allowInProduction: true } });
  });

  it('CF-02 a policy may be called as something that all objects have', () => {
    const env = {
      RESILIENCE_CIRCUIT_BREAKERS__CONSTRUCTOR__FAILURE_THRESHOLD: '7',
      RESILIENCE_BULKHEADS__READS__SHED_ABOVE_PERCENT__LOW: '60',
    };

    expect(resilienceConfigFromEnv({ env, base: { bulkheads: {} } })).toEqual({
      defaults: {},
      circuitBreakers: { constructor: { failureThreshold: 7 } },
      bulkheads: { reads: { shedAbovePercent: { LOW: 60 } } },
    });
    expect('failureThreshold' in Object).toBe(false);
  });

  it('CF-02 lies over a program as well, whose classes and functions it leaves as they are', () => {
    class Declined extends Error {}
    const budget = () => 'tenant';
    const base = { retries: { payments: { retryOn: [Declined], maxRetries: 1, budgetKey: budget } } };
    const env = { RESILIENCE_RETRIES__PAYMENTS__MAX_RETRIES: '3' };

    const { retries } = resilienceConfigFromEnv({ env, base });

    expect(retries).toEqual({ payments: { retryOn: [Declined], maxRetries: 3, budgetKey: budget } });
    expect(base.retries.payments.maxRetries).toBe(1);
  });

  it.each([[null], [[]], ['timeouts']])('CF-02 %j is nothing to lie over', (base) => {
    expect(refusalOf(() => resilienceConfigFromEnv({ env: {}, base: base as never }))).toEqual([
      expect.stringContaining('resilienceConfig: A configuration must be an object, got '),
    ]);
  });

  it('CF-02 leaves alone by what Kubernetes shows the services of a namespace', () => {
    const links = (service: string) => ({
      [`${service}_SERVICE_HOST`]: '10.0.0.11',
      [`${service}_SERVICE_PORT`]: '3000',
      [`${service}_SERVICE_PORT_HTTP`]: '3000',
      [`${service}_PORT`]: 'tcp://10.0.0.11:3000',
      [`${service}_PORT_3000_TCP`]: 'tcp://10.0.0.11:3000',
      [`${service}_PORT_3000_TCP_PROTO`]: 'tcp',
      [`${service}_PORT_3000_TCP_PORT`]: '3000',
      [`${service}_PORT_3000_TCP_ADDR`]: '10.0.0.11',
    });
    const env = { ...links('RESILIENCE_DEMO'), ...links('RESILIENCE'), RESILIENCE_ENABLED: 'false' };

    expect(resilienceConfigFromEnv({ env })).toEqual({ defaults: {}, enabled: false });
    expect(
      refusalOf(() =>
        resilienceConfigFromEnv({
          env: { RESILIENCE_DEMO_PORT: '80', RESILIENCE_OTHER_SERVICE_HOST: 'x', ...links('RESILIENCE_A') },
        }),
      ),
    ).toEqual([
      expect.stringContaining('RESILIENCE_DEMO_PORT'),
      expect.stringContaining('OTHER_SERVICE_HOST'),
    ]);
  });

  it('CF-02 all options of a policy can be JSON, which single variables and a file stand beside', () => {
    const base = { circuitBreakers: { own: { failureThreshold: 9, openDuration: '1s' } } };
    const env = {
      RESILIENCE_CIRCUIT_BREAKERS__OWN: '{"openDuration":"5s","window":{"calls":50}}',
      RESILIENCE_CIRCUIT_BREAKERS__OWN__SUCCESS_THRESHOLD: '3',
    };
    const own = { failureThreshold: 9, openDuration: '5s', successThreshold: 3, window: { calls: 50 } };
    expect(resilienceConfigFromEnv({ env, base }).circuitBreakers).toEqual({ own });
    expect(base.circuitBreakers.own.openDuration).toBe('1s');
    const poisoned = { RESILIENCE_RETRIES__A: '{"__proto__":{"maxRetries":9}}' };
    expect(resilienceConfigFromEnv({ env: poisoned }).retries?.['a']?.maxRetries).toBeUndefined();
  });

  it('CF-02 names every variable that means nothing or cannot be read', () => {
    const env = {
      RESILIENCE_CIRCUIT_BREAKER__PAYMENTS__FAILURE_THRESHOLD: '5',
      RESILIENCE_BULKHEADS__PAYMENTS: '5',
      RESILIENCE_BULKHEADS__PAYMENTS__MAX_CONCURENT: '5',
      RESILIENCE_BULKHEADS__PAYMENTS__MAX_CONCURRENT: 'many',
      RESILIENCE_BULKHEADS__PAYMENTS__MAX_WAIT: 'soon',
      RESILIENCE_BULKHEADS__PAYMENTS__KEY: 'tenant',
      RESILIENCE_ENABLED__X: 'true',
      RESILIENCE_CLOCK: 'system',
    };
    const variable = 'environment variable RESILIENCE_';
    expect(refusalOf(() => resilienceConfigFromEnv({ env }))).toEqual([
      `${variable}BULKHEADS__PAYMENTS: it names "payments", but none of its options; several can be given as JSON.`,
      `${variable}BULKHEADS__PAYMENTS__KEY: "key" must be a function, got "tenant".`,
      `${variable}BULKHEADS__PAYMENTS__MAX_CONCURENT: there is no MAX_CONCURENT; did you mean MAX_CONCURRENT?`,
      `${variable}BULKHEADS__PAYMENTS__MAX_CONCURRENT: "maxConcurrent" must be an integer of at least 0, got "many".`,
      expect.stringMatching(/MAX_WAIT: "maxWait" must be a duration .*, got "soon"\.$/),
      `${variable}CIRCUIT_BREAKER__PAYMENTS__FAILURE_THRESHOLD: there is no CIRCUIT_BREAKER; did you mean CIRCUIT_BREAKERS?`,
      expect.stringContaining('CLOCK: there is no CLOCK; '),
      `${variable}ENABLED__X: "enabled" has no parts, so nothing can follow "ENABLED".`,
    ]);
  });
});

describe('resilience.schema.json', () => {
  const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(resilienceSchema());

  it('CF-03 is what the option tables say (npm run schema writes it)', () => {
    expect(JSON.parse(readFileSync('resilience.schema.json', 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(resilienceSchema())),
    );
  });

  it('CF-03 durations are those that the options take', () => {
    const texts = [
      '30s',
      '30S',
      '.5s',
      '1.5 hours',
      '2 Hours',
      '100',
      '1 y',
      '0s',
      '0.0 ms',
      '2 parsecs',
      '',
      '1.s',
    ];
    const judged = texts.map((openDuration) => {
      const circuitBreakers = { payments: { openDuration } };
      let accepted = true;
      try {
        new CircuitBreakerPolicy('payments', { openDuration });
      } catch {
        accepted = false;
      }
      return [openDuration, validate({ circuitBreakers }), accepted];
    });
    expect(judged).toEqual(texts.map((text, i) => [text, i < 7, i < 7]));
    expect(validate({ retries: { payments: { baseDelay: '0 ms' } } })).toBe(true);
  });

  it('CF-03 accepts what resilienceConfig takes, and refuses what no policy would', () => {
    expect(validate({ $schema: './resilience.schema.json', ...(parse(YAML) as object) })).toBe(true);
    for (const wrong of [
      { circuitBreakers: { payments: { failureThreshold: 0 } } },
      { circuitBreakers: { payments: { failureTreshold: 1 } } },
      { bulkheads: { reads: { shedAbovePercent: { CRITICAL: 5 } } } },
      { retries: { payments: { baseDelay: 'soon' } } },
      { rateLimiters: { api: { algorithm: 'leaky' } } },
      { sharedState: {} },
      { enabled: 'yes' },
    ])
      expect([wrong, validate(wrong)]).toEqual([wrong, false]);
  });
});
