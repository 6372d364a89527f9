import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { findAsset } from './asset-folder.cjs';

/** One file of the page. */
export interface Asset {
  readonly type: string;
  readonly text: string;
}

/** All that the page consists of. */
export interface Assets {
  /** With `{{…}}` where something is filled in. */
  readonly page: string;
  readonly files: ReadonlyMap<string, Asset>;
  /** Changes with the contents of any file: what it names may be kept for ever. */
  readonly version: string;
}

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

const FILES = {
  'uPlot.iife.min.js': SCRIPT,
  'uPlot.min.css': STYLE,
  'dashboard.css': STYLE,
  'dashboard.js': SCRIPT,
  'cards.js': SCRIPT,
  'chart.js': SCRIPT,
  'connection.js': SCRIPT,
  'event-list.js': SCRIPT,
  'history.js': SCRIPT,
  'kinds.js': SCRIPT,
  'operator.js': SCRIPT,
  'page.js': SCRIPT,
} as const;

/** Reads them once, at the start: none of them is missing later. */
export function readAssets(): Assets {
  const files = new Map<string, Asset>();
  const hash = createHash('sha256');
  for (const [name, type] of Object.entries(FILES)) {
    const text = readFileSync(findAsset(name), 'utf8');
    files.set(name, { type, text });
    hash.update(name).update(text);
  }
  return {
    page: readFileSync(findAsset('index.html'), 'utf8'),
    files,
    version: hash.digest('hex').slice(0, 12),
  };
}
