import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** A page of the documentation, by its path from the repository's folder. */
export interface Page {
  readonly path: string;
  readonly text: string;
}

/** A block of TypeScript on a page. */
export interface CodeBlock {
  readonly page: string;
  /** The line of the page that its first line is. */
  readonly line: number;
  readonly code: string;
  /** What stands behind `ts` on its fence: `run`, `ignore`, or the name of a file that others of the page import. */
  readonly words: readonly string[];
}

/** The README and every page below docs/, in the order of their paths. */
export function pages(): Page[] {
  const below = readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.md'))
    .map((path) => join('docs', path))
    .toSorted();
  return ['README.md', ...below].map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

/** The blocks of a page whose fence begins with `ts`. */
export function codeBlocks({ path, text }: Page): CodeBlock[] {
  return [...text.matchAll(/^```ts\b([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [, words = '', code = ''] = match;
    const line = text.slice(0, match.index).split('\n').length + 1;
    return { page: path, line, code, words: words.trim().split(/\s+/).filter(Boolean) };
  });
}

/** A page without its blocks of code, whose lines stay empty. */
export function prose(text: string): string {
  return text.replace(/^```[\s\S]*?^```$/gm, (block) => block.replace(/[^\n]/g, ''));
}
