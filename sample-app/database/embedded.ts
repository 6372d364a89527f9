import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { drizzle } from 'drizzle-orm/pglite';
import { blankImage } from './blank-image.js';
import type { Connection, Queries } from './connection.js';
import { lockFolder } from './folder-lock.js';

export const IN_MEMORY = 'memory';

/** PostgreSQL inside this process, with its files in a folder, or in memory alone. */
export interface EmbeddedConnection extends Connection {
  /** All of it as one file. */
  dump(): Promise<Blob>;
}

/**
 * Opens the embedded database, and creates it where there is none.
 *
 * @param image - What it begins with, of another one's {@link EmbeddedConnection.dump}.
 * @throws Error where another process has the folder.
 */
export async function openEmbedded(folder: string, image?: Blob): Promise<EmbeddedConnection> {
  const inMemory = folder === IN_MEMORY;
  const path = resolve(folder);
  let unlock = () => {};
  if (!inMemory) {
    mkdirSync(path, { recursive: true });
    unlock = lockFolder(path);
  }
  const place = join(path, 'postgres');
  const complete = join(path, 'complete');
  const isNew = inMemory || !existsSync(complete);
  // What a process left that was killed while it copied.
  if (isNew && !inMemory) rmSync(place, { recursive: true, force: true });
  const pglite = await PGlite.create(
    inMemory ? 'memory://' : place,
    isNew ? { loadDataDir: image ?? (await blankImage()) } : {},
  );
  if (!inMemory) writeFileSync(complete, '');
  return {
    db: drizzle(pglite) as unknown as Queries,
    name: inMemory ? 'PGlite in memory' : `PGlite in ${folder}`,
    dump: () => pglite.dumpDataDir('none'),
    close: async () => {
      await pglite.close();
      unlock();
    },
  };
}
