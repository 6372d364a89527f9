const isEsm = require('./package.json').type === 'module';

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.spec.ts'],
  extensionsToTreatAsEsm: isEsm ? ['.ts'] : [],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: {
          target: 'es2022',
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true },
          keepClassNames: true,
        },
        module: { type: isEsm ? 'es6' : 'commonjs' },
        sourceMaps: 'inline',
      },
    ],
  },
  // For what hangs; a machine that is slow has no other limit.
  testTimeout: 120_000,
};
