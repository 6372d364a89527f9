// npm test: installs what is missing, a Redis server and Chromium too where it may, runs Jest, then the consumers of the packed build.
// With arguments they go to Jest, and only Jest runs: npm test -- test/core
import { join } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { ensurePrograms } from './programs.mjs';
import { npm, root, run } from './run.mjs';
import { clearTestResults, readTestResults, recordAs } from './test-results.mjs';

const chosen = process.argv.slice(2);

clearTestResults();
ensureInstalled();
if (chosen.length === 0) ensurePrograms();

let status = run(...npm(['run', '--silent', 'test:unit', '--', ...recordAs('unit'), ...chosen]));

if (chosen.length > 0) {
  console.log(
    'Tests were chosen by argument: the consumers of the packed build are left out (npm run test:consumers).',
  );
} else {
  status = run(process.execPath, [join(root, 'scripts', 'consumers.mjs')]) || status;
  status = refuseSkipped() || status;
}
process.exitCode = status;

/** On CI a test that did not run proves nothing: a missing server must not pass for a working one. */
function refuseSkipped() {
  const { skipped } = readTestResults();
  if (skipped.length === 0) return 0;
  console.log(`\n${skipped.length} skipped:\n${skipped.map((name) => `  ${name}`).join('\n')}`);
  if (process.env.CI !== 'true') return 0;
  console.error('With CI=true a skipped test is a failure.');
  return 1;
}
