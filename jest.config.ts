/** @jest-config-loader esbuild-register */
import type { Config } from 'jest';

/** Some files hold nothing but types, and are never loaded. */
const COVERED = [
  'lib/**/*.ts',
  '!lib/core/{once-store,option-row,outcome,policy}.ts',
  '!lib/decorators/{decorator-types,interceptor-policies}.ts',
  '!lib/doctor/finding.ts',
];

const config: Config = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.spec.ts'],
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/consumers/'],
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/test/consumers/', '<rootDir>/.tmp/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.c?ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        sourceMaps: 'inline',
      },
    ],
  },
  moduleNameMapper: {
    // The sources import './x.js', as Node wants it; the tests run x.ts.
    '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'],
    '^(\\.{1,2}/.*)\\.cjs$': ['$1.cts', '$1.cjs'],
    '^nestjs-breakwater$': '<rootDir>/lib/index.ts',
    '^nestjs-breakwater/(dashboard|prometheus|opentelemetry)$': '<rootDir>/lib/observability/$1/index.ts',
    '^nestjs-breakwater/doctor$': '<rootDir>/lib/doctor/index.ts',
    '^nestjs-breakwater/redis$': '<rootDir>/lib/shared-state/redis/index.ts',
    '^nestjs-breakwater/testing$': '<rootDir>/lib/testing/index.ts',
  },
  // For what hangs; a machine that is slow has no other limit.
  testTimeout: 120_000,
  workerIdleMemoryLimit: '512MB',
  coverageProvider: 'v8',
  collectCoverageFrom: COVERED,
  coverageDirectory: '.tmp/coverage',
  coverageReporters: ['text-summary', 'json-summary', 'json', 'html'],
  coverageThreshold: { global: { lines: 95, branches: 95 } },
};

export default config;
