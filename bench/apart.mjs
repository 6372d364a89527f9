// Measures in a process of its own, in which nothing of other benchmarks runs.
import { execFileSync } from 'node:child_process';

/** The number that a file prints when it is run with the name of a case. */
export function measuredApart(file, name, flags = []) {
  return Number(execFileSync(process.execPath, ['--expose-gc', ...flags, file, name], { encoding: 'utf8' }));
}
