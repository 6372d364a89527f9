import { describe, expect, it } from '@jest/globals';
import type { Matcher } from '../../lib/core/matcher.js';
import type { Duration } from '../../lib/core/duration.js';
import { checkOptions, defineOptions, optionsMarkdown, resolveOptions } from '../../lib/core/option-table.js';

interface Options {
  maxRetries?: number;
  ratio?: number;
  percent?: number;
  baseDelay?: Duration | (() => Duration);
  openDuration?: Duration;
  label?: string;
  enabled?: boolean;
  jitter?: number | 'full' | 'none';
  window?: { calls: number } | { duration: Duration; slices?: number };
  retryOn?: Matcher;
  retryOnStatus?: readonly number[];
  shed?: Partial<Record<'LOW' | 'HIGH', number>>;
  waits?: Record<string, Duration>;
  order?: readonly string[];
  key?: () => string;
  anything?: unknown;
  capacity?: number;
  budget?: string | false;
}

const byCalls = defineOptions<{ calls: number }>({
  name: 'calls',
  kind: 'integer',
  min: 1,
  sentence: 'The last so many calls.',
});
const byDuration = defineOptions<{ duration: Duration; slices?: number }>(
  { name: 'duration', kind: 'duration', sentence: 'The calls of so long.' },
  { name: 'slices', kind: 'integer', min: 1, max: 60, default: 10, sentence: 'How finely it forgets.' },
);
const table = defineOptions<Options, Record<string, unknown>>(
  { name: 'maxRetries', kind: 'integer', min: 0, default: 3, sentence: 'Attempts after the first.' },
  { name: 'ratio', kind: 'number', above: 0, max: 1, optional: true, sentence: 'A share.' },
  { name: 'percent', kind: 'percent', above: 0, optional: true, sentence: 'A percentage.' },
  {
    name: 'baseDelay',
    kind: 'duration',
    min: 0,
    default: '100ms',
    or: [{ kind: 'function' }],
    sentence: 'The first delay.',
  },
  {
    name: 'openDuration',
    kind: 'duration',
    optional: true,
    defaultText: 'that of the other',
    sentence: 'How long.',
  },
  {
    name: 'label',
    kind: 'string',
    optional: true,
    sentence: 'A name | title.',
    check: (label) => (label === 'x' ? '"label" is taken.' : undefined),
  },
  { name: 'enabled', kind: 'boolean', default: true, sentence: 'Whether it is on.' },
  {
    name: 'jitter',
    kind: 'number',
    min: 0,
    max: 1,
    or: [{ kind: 'one-of', values: ['full', 'none'] }],
    default: 0.5,
    sentence: 'Spread.',
  },
  {
    name: 'window',
    kind: 'object',
    fields: byCalls,
    or: [{ kind: 'object', fields: byDuration }],
    optional: true,
    sentence: 'What is looked at.',
  },
  { name: 'retryOn', kind: 'matcher', optional: true, sentence: 'Which errors.' },
  {
    name: 'retryOnStatus',
    kind: 'list',
    each: { kind: 'integer', min: 100, max: 599 },
    default: [429, 503],
    sentence: 'Which statuses.',
  },
  {
    name: 'shed',
    kind: 'record',
    values: ['LOW', 'HIGH'],
    each: { kind: 'percent' },
    default: { LOW: 80 },
    sentence: 'Above what.',
  },
  { name: 'waits', kind: 'record', each: { kind: 'duration' }, optional: true, sentence: 'Each its wait.' },
  { name: 'order', kind: 'list', optional: true, sentence: 'In which order.' },
  { name: 'key', kind: 'function', optional: true, sentence: 'Of whom.' },
  { name: 'anything', kind: 'any', optional: true, sentence: 'Whatever.' },
  {
    name: 'capacity',
    kind: 'number',
    min: 1,
    max: Number.POSITIVE_INFINITY,
    optional: true,
    sentence: 'How many.',
  },
  {
    name: 'budget',
    kind: 'string',
    or: [{ kind: 'one-of', values: [false] }],
    optional: true,
    sentence: 'By name.',
  },
);
const WHERE = '@Retry on PaymentsService.charge';

function messages(given: unknown): string[] {
  return checkOptions(table, given, WHERE).map((problem) => problem.message);
}

describe('checkOptions', () => {
  it.each<[object, string]>([
    [{ maxRetries: -1 }, '"maxRetries" must be an integer of at least 0, got -1.'],
    [{ maxRetries: '3' }, '"maxRetries" must be an integer of at least 0, got "3".'],
    [{ maxRetries: Number.NaN }, '"maxRetries" must be an integer of at least 0, got NaN.'],
    [{ maxRetries: null }, '"maxRetries" must be an integer of at least 0, got null.'],
    [{ ratio: 0 }, '"ratio" must be a number above 0 and at most 1, got 0.'],
    [{ ratio: Number.POSITIVE_INFINITY }, '"ratio" must be a number above 0 and at most 1, got Infinity.'],
    [{ percent: 0 }, '"percent" must be a percentage above 0 and at most 100, got 0.'],
    [{ percent: 100.1 }, '"percent" must be a percentage above 0 and at most 100, got 100.1.'],
    [{ label: '' }, '"label" must be a non-empty string, got "".'],
    [{ label: 'x' }, '"label" is taken.'],
    [{ enabled: 1n }, '"enabled" must be true or false, got 1n.'],
    [{ jitter: 1.5 }, '"jitter" must be a number between 0 and 1, "full" or "none", got 1.5.'],
    [{ jitter: 'half' }, '"jitter" must be a number between 0 and 1, "full" or "none", got "half".'],
    [{ key: 'id' }, '"key" must be a function, got "id".'],
    [
      { retryOn: { statsu: 5 } },
      '"retryOn" must be a matcher (an error class, a predicate (not async), a status, a code, a pattern, or a list of these), got {"statsu":5}.',
    ],
    [{ retryOnStatus: 503 }, '"retryOnStatus" must be a list, each an integer between 100 and 599, got 503.'],
    [{ retryOnStatus: [503, 42] }, '"retryOnStatus[1]" must be an integer between 100 and 599, got 42.'],
    [{ shed: { LOW: 120 } }, '"shed.LOW" must be a percentage between 0 and 100, got 120.'],
    [{ shed: { LO: 20 } }, '"shed.LO" is not possible; a key of "shed" must be "LOW" or "HIGH".'],
    [{ window: 5 }, '"window" must be an object { calls } or an object { duration, slices }, got 5.'],
    [{ window: { calls: 0 } }, '"window.calls" must be an integer of at least 1, got 0.'],
    [
      { window: { duration: '1s', slices: 99 } },
      '"window.slices" must be an integer between 1 and 60, got 99.',
    ],
    [{ window: {} }, '"window.calls" is missing; it must be an integer of at least 1.'],
    [
      { window: { duraton: '1s' } },
      '"window.duraton" is not an option of "window"; did you mean "duration"?',
    ],
    [{ capacity: 0 }, '"capacity" must be a number of at least 1, got 0.'],
    [{ capacity: Number.NaN }, '"capacity" must be a number of at least 1, got NaN.'],
    [{ budget: true }, '"budget" must be a non-empty string or false, got true.'],
    [
      { window: { calls: 10, duration: '5s' } },
      '"window" must be an object { calls } or an object { duration, slices }: give one of them, got {"calls":10,"duration":"5s"}.',
    ],
    [{ maxRetry: 2 }, '"maxRetry" is not an option of @Retry; did you mean "maxRetries"?'],
    [{ MAXRETRIES: 2 }, '"MAXRETRIES" is not an option of @Retry; did you mean "maxRetries"?'],
  ])('PL-07 says of %p what is wrong, what is allowed and what was given', (given, message) => {
    expect(messages(given)).toContain(message);
  });

  it('names the known options where nothing is near', () => {
    expect(messages({ timeoutInMilliseconds: 5 })[0]).toMatch(
      /is not an option of @Retry; it takes maxRetries, ratio, .*\.$/,
    );
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '', '0s', 'soon', null, {}])(
    'TO-06 refuses %p as a duration',
    (openDuration) => {
      expect(messages({ openDuration })).toEqual([
        expect.stringMatching(
          /^"openDuration" must be a duration above 0 \(milliseconds, or a string such as "30s"\), got .*\.$/,
        ),
      ]);
    },
  );

  it('PL-07 collects every problem, each with its place', () => {
    const problems = checkOptions(table, { maxRetries: 1.5, baseDelay: '-1s', nonsense: true }, WHERE);

    expect(problems.map((problem) => problem.option)).toEqual(['nonsense', 'maxRetries', 'baseDelay']);
    expect(new Set(problems.map((problem) => problem.where))).toEqual(new Set([WHERE]));
    expect(problems[2]?.message).toBe(
      '"baseDelay" must be a duration of at least 0 (milliseconds, or a string such as "30s") or a function, got "-1s".',
    );
  });

  it('finds nothing wrong with what is allowed; undefined counts as absent', () => {
    expect(messages(undefined)).toEqual([]);
    expect(messages({})).toEqual([]);
    expect(messages({ maxRetries: undefined, unheardOf: undefined, shed: { HIGH: undefined } })).toEqual([]);
    const given: Options = {
      maxRetries: 0,
      ratio: 1,
      percent: 100,
      baseDelay: 0,
      openDuration: '30s',
      label: 'y',
      enabled: false,
      jitter: 'full',
      window: { duration: 500 },
      retryOn: [Error, 503],
      retryOnStatus: [],
      shed: { LOW: 0 },
      waits: { a: '1s' },
      order: ['a'],
      key: () => 'a',
      anything: null,
      capacity: Number.POSITIVE_INFINITY,
      budget: false,
    };
    expect(messages(given)).toEqual([]);
  });

  it('refuses options that are no object, and shows what it was given without flooding', () => {
    expect(messages('fast')).toEqual(['Options must be an object, got "fast".']);
    expect(messages([1])).toEqual(['Options must be an object, got [1].']);
    const circular: Record<string, unknown> = {};
    circular['self'] = circular;
    expect(messages({ label: circular })[0]).toMatch(/got an object\.$/);
    expect(messages({ label: Array(99).fill(1) })[0]).toMatch(/got a list\.$/);
    expect(messages({ label: function retry() {} })[0]).toMatch(/got the function retry\.$/);
    expect(messages({ label: () => 1 })[0]).toMatch(/got (a function|the function label)\.$/);
    expect(messages({ label: Symbol('s') })[0]).toMatch(/got Symbol\(s\)\.$/);
  });
});

describe('resolveOptions', () => {
  it('applies defaults and turns durations into milliseconds, nested ones too', () => {
    expect(resolveOptions(table, undefined)).toEqual({
      maxRetries: 3,
      baseDelay: 100,
      enabled: true,
      jitter: 0.5,
      retryOnStatus: [429, 503],
      shed: { LOW: 80 },
    });
    const baseDelay = (): number => 5;
    const given: Options = {
      baseDelay,
      openDuration: '2 min',
      jitter: 'none',
      window: { duration: '1s' },
      waits: { a: '1.5s', b: 3 },
      enabled: undefined,
      anything: null,
    };
    expect(resolveOptions(table, given)).toMatchObject({
      baseDelay,
      openDuration: 120_000,
      jitter: 'none',
      window: { duration: 1_000, slices: 10 },
      waits: { a: 1_500, b: 3 },
      enabled: true,
      anything: null,
    });
    expect(resolveOptions(table, { window: { calls: 7 } })['window']).toEqual({ calls: 7 });
  });
});

describe('optionsMarkdown', () => {
  it('writes the table of the documentation', () => {
    const lines = optionsMarkdown(table).split('\n');

    expect(lines.slice(0, 3)).toEqual([
      '| Option | Type and range | Default | What it does |',
      '|---|---|---|---|',
      '| `maxRetries` | an integer of at least 0 | `3` | Attempts after the first. |',
    ]);
    expect(lines).toContain('| `label` | a non-empty string | – | A name \\| title. |');
    expect(lines).toContain('| `jitter` | a number between 0 and 1, "full" or "none" | `0.5` | Spread. |');
    expect(lines).toContain(
      '| `window.calls` | an integer of at least 1 | required | The last so many calls. |',
    );
    expect(lines).toContain(
      '| `window.slices` | an integer between 1 and 60 | `10` | How finely it forgets. |',
    );
    expect(lines.find((line) => line.startsWith('| `shed`'))).toContain('| `{ LOW: 80 }` |');
    expect(lines.find((line) => line.startsWith('| `baseDelay`'))).toContain("| `'100ms'` |");
    expect(lines.find((line) => line.startsWith('| `openDuration`'))).toContain('| that of the other |');
    expect(lines.find((line) => line.startsWith('| `retryOnStatus`'))).toContain('| `[429, 503]` |');
  });
});
