import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PGlite } from '@electric-sql/pglite';

const FOLDER = '.tmp';
const FILE = join(FOLDER, 'pglite-blank.tar.gz');

/** Making an empty database takes seconds, and it is always the same one: it is made once, and copied from then on. */
export async function blankImage(): Promise<Blob> {
  if (existsSync(FILE)) return new Blob([readFileSync(FILE)]);
  const blank = await PGlite.create('memory://');
  const image = await blank.dumpDataDir('gzip');
  await blank.close();
  mkdirSync(FOLDER, { recursive: true });
  // In one step, since others may be about to read it.
  const own = `${FILE}.${process.pid}`;
  writeFileSync(own, Buffer.from(await image.arrayBuffer()));
  renameSync(own, FILE);
  return image;
}
