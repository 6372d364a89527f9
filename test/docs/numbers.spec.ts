import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { pages } from './pages.js';

const results = readFileSync('bench/results.md', 'utf8').replaceAll(/(?<=\d),(?=\d)/g, '');

/** Whether the benchmark has measured it, whatever separates its thousands. */
function isMeasured(number: string): boolean {
  return new RegExp(`(?<![\\d.])${number.replaceAll(',', '').replaceAll('.', '\\.')}(?![\\d.]*\\d)`).test(
    results,
  );
}

describe('numbers of the benchmark', () => {
  it('in the README are those of bench/results.md', () => {
    const readme = readFileSync('README.md', 'utf8');
    const [, section = ''] = /## What it costs\n([\s\S]*?)\n## /.exec(readme) ?? [];
    const shown = [...section.matchAll(/(?:\| +|takes |limit )(\d[\d.,]*\d)/g)].map(
      ([, number]) => number as string,
    );

    expect(shown.length).toBeGreaterThan(10);
    expect(shown.filter((number) => !isMeasured(number))).toEqual([]);
  });

  const citing = pages().filter(({ text }) => text.includes('bench/results.md'));

  it.each(citing)('in nanoseconds in $path are those of bench/results.md', ({ text }) => {
    const shown = [...text.matchAll(/(\d[\d.,]*) ns\b/g)].map(([, number]) => number as string);

    expect(shown.filter((number) => !isMeasured(number))).toEqual([]);
  });
});
