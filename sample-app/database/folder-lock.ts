import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Keeps a folder for this process alone: two databases that write the same files would destroy them.
 *
 * @returns What gives it back.
 * @throws Error where a running process has it. One that was killed has nothing any more.
 */
export function lockFolder(folder: string): () => void {
  const file = join(folder, 'owner.pid');
  try {
    writeFileSync(file, String(process.pid), { flag: 'wx' });
  } catch (error) {
    if ((error as { code?: string }).code !== 'EEXIST') throw error;
    const owner = Number(readFileSync(file, 'utf8'));
    if (owner !== process.pid && isRunning(owner)) {
      throw new Error(
        `The data in ${folder} belong to the running process ${owner}. A second one needs a folder of its own: DATA_DIR=${folder}-2, or DATA_DIR=memory.`,
        { cause: error },
      );
    }
    writeFileSync(file, String(process.pid));
  }
  return () => rmSync(file, { force: true });
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === 'EPERM';
  }
}
