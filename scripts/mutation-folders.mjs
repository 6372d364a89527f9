// What npm run mutation mutates, and which tests must see it.

/** A folder of lib/, and the tests that are run for each of its mutants. */
const TESTS = {
  'policies/circuit-breaker': [
    'policies/circuit-breaker/!(cost).spec.ts',
    'policies/hedge/**/*.spec.ts',
    'pipeline/refusals.spec.ts',
  ],
  'policies/retry': ['policies/retry/**/*.spec.ts'],
  'policies/bulkhead': ['policies/bulkhead/**/*.spec.ts'],
  'policies/rate-limit': ['policies/rate-limit/**/*.spec.ts'],
  'policies/timeout': ['policies/timeout/!(http-timeouts).spec.ts'],
  'policies/fallback': ['policies/fallback/**/*.spec.ts', 'module/validation.spec.ts'],
  'policies/idempotency': ['policies/idempotency/**/*.spec.ts'],
  'policies/hedge': ['policies/hedge/**/*.spec.ts'],
  pipeline: ['pipeline/**/*.spec.ts', 'decorators/**/*.spec.ts', 'policies/hedge/**/*.spec.ts'],
  'policies/chaos': ['policies/chaos/**/*.spec.ts', 'module/chaos.service.spec.ts'],
};

export const folders = Object.keys(TESTS);

export const testsOf = (folder) => TESTS[folder] ?? [];

/** Where the reports of a folder lie, from the root of the project. */
export const reportsFolder = (folder) => `.tmp/mutation/${folder.replace('/', '-')}`;
