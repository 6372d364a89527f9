// The house (CONTRIBUTING.md): arrows point down only. module → decorators → pipeline → policies → core; module → draining → core
const below = {
  core: ['core'],
  policies: ['policies', 'core'],
  pipeline: ['pipeline', 'policies', 'core'],
  decorators: ['decorators', 'pipeline', 'policies', 'core'],
  draining: ['draining', 'core'],
  module: ['module', 'draining', 'decorators', 'pipeline', 'policies', 'core'],
  'shared-state': ['shared-state', 'core'],
  // These look at the module, and at what is below it.
  config: ['config', 'module', 'policies', 'core'],
  doctor: ['doctor', 'module', 'decorators', 'pipeline', 'policies', 'core'],
  health: ['health', 'draining', 'module', 'decorators', 'pipeline', 'policies', 'core'],
  observability: [
    'observability',
    'health',
    'draining',
    'module',
    'decorators',
    'pipeline',
    'policies',
    'core',
  ],
};

const arrows = Object.entries(below).map(([floor, allowed]) => ({
  name: `${floor}-looks-down-only`,
  comment: `lib/${floor} may import ${allowed.join(', ')} and nothing else of the library.`,
  severity: 'error',
  from: { path: `^lib/${floor}/` },
  to: { path: '^lib/', pathNot: `^lib/(${allowed.join('|')})/` },
}));

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'no-framework-below-decorators',
      comment: 'core, policies and pipeline stand alone: no Nest, no rxjs.',
      severity: 'error',
      from: { path: '^lib/(core|policies|pipeline)/' },
      to: { path: '(^|node_modules/)(@nestjs/|rxjs|reflect-metadata)' },
    },
    {
      name: 'no-input-output-in-core',
      comment: 'Time, randomness and I/O come in through the constructor.',
      severity: 'error',
      from: { path: '^lib/(core|policies|pipeline)/' },
      to: {
        path: '^(node:)?(fs|net|http|https|http2|tls|dgram|dns|child_process|worker_threads|cluster)(/|$)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'known-floors-only',
      comment: 'A new folder in lib needs its place in the house: name it at the top of this file.',
      severity: 'error',
      from: { path: '^lib/', pathNot: `^lib/(index\\.ts$|testing/|(${Object.keys(below).join('|')})/)` },
      to: {},
    },
    {
      name: 'not-to-testing',
      comment: 'lib/testing is for the tests of users; nothing that they run in production needs it.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/testing/' },
      to: { path: '^lib/testing/' },
    },
    {
      name: 'not-to-the-surface',
      comment: 'lib/index.ts is for users. From inside it would be a cycle.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/testing/' },
      to: { path: '^lib/index\\.ts$' },
    },
    {
      name: 'not-out-of-lib',
      comment: 'The library ships without its tests, sample and benchmarks.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: '^(test|sample-app|bench|scripts|docs|dist)/' },
    },
    {
      name: 'sample-uses-the-surface',
      comment: 'The sample imports the library as any application does: by its name.',
      severity: 'error',
      from: { path: '^sample-app/' },
      to: { path: '^(lib|test|bench|scripts)/', pathNot: '^lib/(index|[^/]+/index|[^/]+/[^/]+/index)\\.ts$' },
    },
    {
      name: 'only-shipped-dependencies',
      comment: 'What lib imports at run time must be a dependency or a peer of the package.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    },
    {
      name: 'no-cycles',
      comment: 'Two files that need each other are one, or three.',
      severity: 'error',
      from: { path: '^lib/' },
      to: { circular: true },
    },
    {
      name: 'no-unresolved',
      comment: 'An import that leads nowhere is one that no rule here can judge.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    combinedDependencies: false,
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|coverage|test/consumers)/' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['module-sync', 'import', 'require', 'node', 'default', 'types'],
    },
  },
};
