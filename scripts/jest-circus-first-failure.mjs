// Jest for mutation tests: the first failed test kills a mutant, so that those after it are skipped. Jest's own `bail` only
// ends between files, and Stryker switches it off.
import circus from 'jest-circus/runner';

/** The mutant that a test has killed last. */
let killed;

export default async function run(globalConfig, config, environment, ...rest) {
  const mutant = process.env.__STRYKER_ACTIVE_MUTANT__;
  const handle = environment.handleTestEvent?.bind(environment);
  environment.handleTestEvent = async (event, state) => {
    if (mutant !== undefined) {
      if (event.name === 'test_fn_failure') killed = mutant;
      else if (event.name === 'test_start' && killed === mutant) event.test.mode = 'skip';
    }
    await handle?.(event, state);
  };
  return circus.default(globalConfig, config, environment, ...rest);
}
