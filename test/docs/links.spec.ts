import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { pages, prose } from './pages.js';

/** The targets of all links and images that lead to files of this repository. */
function linksIn(text: string): string[] {
  return [...prose(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target as string)
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The headings of a page as anchors, the way GitHub writes them. */
function anchorsIn(text: string): Set<string> {
  const seen = new Map<string, number>();
  const anchors = [...prose(text).matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) => {
    const plain = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const anchor = plain
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\p{M}\p{Pc}\- ]/gu, '')
      .replaceAll(' ', '-');
    const times = seen.get(anchor) ?? 0;
    seen.set(anchor, times + 1);
    return times === 0 ? anchor : `${anchor}-${times}`;
  });
  return new Set(anchors);
}

/** What is wrong with a link on a page; `undefined` where it leads somewhere. */
function mistakeIn(target: string, from: string): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? from : join(dirname(from), decodeURIComponent(path));
  if (!existsSync(file)) return `${target}: there is no ${file}`;
  if (anchor === undefined || anchor === '') return undefined;
  if (statSync(file).isDirectory() || !file.endsWith('.md')) return undefined;
  if (anchorsIn(readFileSync(file, 'utf8')).has(decodeURIComponent(anchor))) return undefined;
  return `${target}: ${file} has no such heading`;
}

describe('links', () => {
  it.each(pages())('of $path lead to files and headings that there are', ({ path, text }) => {
    expect(linksIn(text).flatMap((target) => mistakeIn(target, path) ?? [])).toEqual([]);
  });
});

describe('pages', () => {
  it('are all reached from the README', () => {
    const all = pages();
    const reached = new Set<string>();
    const follow = (path: string) => {
      if (reached.has(path)) return;
      reached.add(path);
      const page = all.find((one) => one.path === path);
      if (page === undefined) return;
      for (const target of linksIn(page.text)) {
        const [file = ''] = target.split('#');
        if (file !== '') follow(join(dirname(path), file));
      }
    };

    follow('README.md');

    expect(all.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
  });
});
