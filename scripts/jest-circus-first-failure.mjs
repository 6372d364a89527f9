// Jest for mutation tests. The first failed test kills a mutant, so that those after it are skipped: Jest's own `bail` only
// ends between files, and Stryker switches it off. And a file none of whose tests sees the mutant is not loaded at all.
import circus from 'jest-circus/runner';

/** The mutant that a test has killed last. */
let killed;
/** By file: what it answers when all of its tests are skipped. */
const skipped = new Map();

export default async function run(globalConfig, config, environment, runtime, testPath, ...rest) {
  const mutant = process.env.__STRYKER_ACTIVE_MUTANT__;
  const known = skipped.get(testPath);
  if (mutant !== undefined && known !== undefined) {
    const pattern = new RegExp(globalConfig.testNamePattern ?? '', 'i');
    if (killed === mutant || !known.testResults.some(({ fullName }) => pattern.test(fullName))) return known;
  }
  const handle = environment.handleTestEvent?.bind(environment);
  environment.handleTestEvent = async (event, state) => {
    if (mutant !== undefined) {
      if (event.name === 'test_fn_failure') killed = mutant;
      else if (event.name === 'test_start' && killed === mutant) event.test.mode = 'skip';
    }
    await handle?.(event, state);
  };
  const result = await circus.default(globalConfig, config, environment, runtime, testPath, ...rest);
  if (result.testResults.length > 0) skipped.set(testPath, allSkipped(result));
  return result;
}

function allSkipped(result) {
  const testResults = result.testResults.map((test) => ({
    ...test,
    status: 'pending',
    failureMessages: [],
    failureDetails: [],
  }));
  const counts = { numFailingTests: 0, numPassingTests: 0, numPendingTests: testResults.length };
  return { ...result, ...counts, failureMessage: null, testResults };
}
