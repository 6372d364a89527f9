// Mutation tests: npm run mutation. scripts/mutation.mjs runs one folder at a time and names it in MUTATION_FOLDER.
import { reportsFolder, testsOf } from './scripts/mutation-folders.mjs';

const folder = process.env.MUTATION_FOLDER ?? 'policies/retry';
const reports = reportsFolder(folder);

export default {
  mutate: [
    `lib/${folder}/**/*.ts`,
    // Re-exports.
    '!lib/**/index.ts',
    // A report in words.
    '!lib/policies/chaos/experiment-text.ts',
    // Real sockets and real time are what tests these (http-timeouts.spec.ts): too slow for each mutant.
    '!lib/policies/timeout/http-*.ts',
    // Several instances and a real store are what tests these (test/redis).
    '!lib/policies/{bulkhead,circuit-breaker,fallback,rate-limit}/shared-*.ts',
  ],
  plugins: ['@stryker-mutator/jest-runner', './scripts/mutation-ignores.mjs'],
  // Texts for people, each with its reason.
  ignorers: ['texts'],
  // What is evaluated once, as a module loads: option tables and constants. A mutant of these takes every test of the
  // folder, and the tests of validation (test/module) hold the tables.
  ignoreStatic: true,

  testRunner: 'jest',
  testRunnerNodeArgs: ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
  jest: {
    configFile: 'jest.config.ts',
    // All chosen tests, not those that import the mutated file: testMatch has chosen already.
    enableFindRelatedTests: false,
    config: {
      testMatch: testsOf(folder).map((pattern) => `<rootDir>/test/${pattern}`),
      testRunner: '<rootDir>/scripts/jest-circus-first-failure.mjs',
      // Nothing here waits for real: a test that takes so long hangs.
      testTimeout: 2_000,
    },
  },
  coverageAnalysis: 'perTest',
  concurrency: 2,
  timeoutMS: 6_000,
  // A worker that has loaded the modules some hundred times is heavy.
  maxTestRunnerReuse: 100,

  incremental: true,
  incrementalFile: `${reports}/incremental.json`,
  tempDirName: '.tmp/stryker',
  ignorePatterns: ['.tmp', 'dist', 'docs', 'bench', 'sample-app', 'coverage', 'test/consumers'],
  disableTypeChecks: true,

  reporters: ['html', 'json', 'progress-append-only'],
  htmlReporter: { fileName: `${reports}/mutation.html` },
  jsonReporter: { fileName: `${reports}/mutation.json` },
  thresholds: { high: 90, low: 85, break: null },
};
