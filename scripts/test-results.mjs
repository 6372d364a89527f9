// Jest writes what it found as JSON; this adds the runs up, so that one line can say how all of them went.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from './run.mjs';

const folder = join(root, '.tmp', 'test-results');

/** Forgets earlier runs. */
export function clearTestResults() {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
}

/** The arguments that make Jest write its results down under this name. */
export function recordAs(name) {
  return ['--json', `--outputFile=${join(folder, `${name}.json`)}`];
}

/** Counts a step that Jest does not run, such as a compilation, as one test. */
export function recordStep(name, passed) {
  const result = {
    numPassedTests: passed ? 1 : 0,
    numFailedTests: passed ? 0 : 1,
    numRuntimeErrorTestSuites: 0,
    testResults: [],
  };
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(result));
}

/** Totals over all recorded runs, and the names of the tests that were skipped. */
export function readTestResults() {
  const totals = { passed: 0, failed: 0, skipped: [] };
  let files = [];
  try {
    files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  } catch {
    return totals;
  }
  for (const file of files) {
    const run = readRun(join(folder, file));
    if (!run) {
      totals.failed += 1;
      continue;
    }
    totals.passed += run.numPassedTests;
    // A file that does not load has no tests to count, but it did fail.
    totals.failed += run.numFailedTests + run.numRuntimeErrorTestSuites;
    for (const suite of run.testResults)
      for (const test of suite.assertionResults)
        if (test.status !== 'passed' && test.status !== 'failed')
          totals.skipped.push(`${test.fullName} (${test.status})`);
  }
  return totals;
}

/** One run, or undefined where Jest was ended while it wrote. */
function readRun(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { passed, failed } = readTestResults();
  console.log(`${passed} passed, ${failed} failed`);
}
