// One process at a time: two that build into the same folder would delete each other's files.
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { root } from './run.mjs';

const folder = join(root, '.tmp');

/** Runs `work` when no other process runs work of that name. */
export async function alone(name, work) {
  const lock = join(folder, `${name}.lock`);
  mkdirSync(folder, { recursive: true });
  while (!take(lock)) await delay(100);
  // Whatever ends this process, also in the middle of the work.
  const release = () => rmSync(lock, { force: true });
  process.once('exit', release);
  try {
    return await work();
  } finally {
    process.off('exit', release);
    release();
  }
}

function take(lock) {
  try {
    const file = openSync(lock, 'wx');
    writeSync(file, String(process.pid));
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
    if (isLeftOver(lock)) rmSync(lock, { force: true });
    return false;
  }
}

/** Whether the process that took it has gone without a word. */
function isLeftOver(lock) {
  let owner;
  try {
    owner = Number(readFileSync(lock, 'utf8'));
  } catch {
    return false;
  }
  // Made, but not yet written to.
  if (!(owner > 0)) return false;
  try {
    process.kill(owner, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}
