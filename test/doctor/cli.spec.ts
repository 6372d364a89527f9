import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildSync } from 'esbuild';
import type { Diagnosis } from '../../lib/doctor/index.js';

const FOLDER = join('.tmp', 'doctor');
const README = join(FOLDER, 'readme.ts');
const SHOP = join(FOLDER, 'shop.js');

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs the program as a shell does. */
function doctor(...args: string[]): Ended {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(FOLDER, 'cli.js'), ...args], {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
    timeout: 60_000,
  });
  return { code: status, out: stdout, err: stderr };
}

describe('nestjs-breakwater doctor', () => {
  beforeAll(() => {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8')) ?? [];
    writeFileSync(README, `import 'reflect-metadata';\n${example}`);
    buildSync({
      entryPoints: {
        cli: 'lib/doctor/cli.ts',
        shop: 'test/doctor/fixtures/shop.ts',
        orders: 'test/doctor/fixtures/orders.ts',
        readme: README,
      },
      bundle: true,
      splitting: true,
      packages: 'external',
      platform: 'node',
      format: 'esm',
      keepNames: true,
      alias: { 'nestjs-breakwater': './lib/index.ts' },
      outdir: FOLDER,
    });
  });

  it('prints every pipeline in order, and what will hurt', () => {
    const { code, out, err } = doctor('doctor', SHOP);

    expect(out).toBe(`Orders.pay  POST /orders/:id/payment
  (guard) rateLimit           "Orders.pay": sliding-window: 10 in 1 min per key
  (interceptor) totalTimeout  "Orders.pay": 10 s in total

Orders.list  GET /orders
  bulkhead  "Orders.list": 20 at once, 200 waiting for at most 30 s

Payments.pay
  totalTimeout  "Payments.pay": 2 s, 5 s in total
  retry         "Payments.pay": up to 3 retries, exponential from 100 ms to 1 min, no budget
  timeout       "Payments.pay": 2 s, 5 s in total

Gateway.charge
  retry           "Gateway.charge": up to 2 retries, exponential from 100 ms to 1 min, budget 10 % of calls, at least 1/s, over 10 s
  circuitBreaker  "gateway": opens at failure rate 50 % in 20 calls, for 1 min
  timeout         "Gateway.charge": 500 ms

warning layered-retries: Payments.pay
  Retries in layers multiply: Payments.pay (4 attempts) → Gateway.charge (3 attempts): up to 12 attempts for one call.
  → Retry in one layer only, the one that knows what is safe to repeat; elsewhere remove @Retry or set "maxRetries: 0".

warning no-retry-budget: Payments.pay
  Retry "Payments.pay" has no budget ("budget: false"): when everything fails, or is slow, 4 times the usual load meets a dependency that cannot bear the usual one.
  → Remove "budget: false" (the default adds 10 % at most), or name a budget that several share.

4 pipelines: 2 warnings.
`);
    expect(code).toBe(1);
    expect(err).toContain('A constructor prints.');
    expect(out + err).not.toContain('A life-cycle hook prints.');
  });

  it('prints the same as JSON, and nothing else', () => {
    const { code, out } = doctor('doctor', SHOP, '--json');

    const { pipelines, findings } = JSON.parse(out) as Diagnosis;
    expect(code).toBe(1);
    expect(pipelines[0]).toEqual({
      name: 'Orders.pay',
      route: 'POST /orders/:id/payment',
      steps: [
        {
          slot: 'guard',
          kind: 'rateLimit',
          policy: 'Orders.pay',
          description: 'sliding-window: 10 in 1 min per key',
          by: 'decorators',
        },
        {
          slot: 'totalTimeout',
          kind: 'timeout',
          policy: 'Orders.pay',
          description: '10 s in total',
          by: 'interceptor',
        },
      ],
    });
    expect(findings.map(({ code: found, severity, where }) => [found, severity, where])).toEqual([
      ['layered-retries', 'warning', 'Payments.pay'],
      ['no-retry-budget', 'warning', 'Payments.pay'],
    ]);
  });

  it.each(['GatewayModule', 'later'])('ends with 0 where it finds nothing: %s', (name) => {
    const { code, out } = doctor('doctor', SHOP, '--export', name);

    expect(code).toBe(0);
    expect(out).toMatch(/\n1 pipeline: nothing found\.\n$/);
  });

  it('prints what its page shows', () => {
    const { code, out } = doctor('doctor', join(FOLDER, 'orders.js'));

    expect(readFileSync(join('docs', 'doctor.md'), 'utf8')).toContain(`\`\`\`\n${out}\`\`\``);
    expect(code).toBe(1);
  });

  it('finds nothing in the example of the README', () => {
    const { code, out } = doctor('doctor', join(FOLDER, 'readme.js'));

    expect(out).toContain('RatesService.rates\n  fallback ');
    expect(code).toBe(0);
  });

  it.each([
    ['an export that is not there', [SHOP, '--export', 'AppModul'], 'Did you mean --export AppModule?'],
    [
      'an export unlike any',
      [SHOP, '--export=Something'],
      'It exports AppModule, BareModule, BrokenModule, GatewayModule, WrongModule, later, version: say which',
    ],
    [
      'an export that is no module',
      [SHOP, '--export', 'version'],
      'must be a class or a dynamic module, got 1',
    ],
    ['a file that is not there', ['nowhere.js'], 'There is no file '],
    ['a module that does not start', [SHOP, '--export', 'BrokenModule'], 'No database.'],
    [
      'wrong options',
      [SHOP, '--export', 'WrongModule'],
      '"maxRetries" must be an integer of at least 0, got -1',
    ],
    ['an application without policies', [SHOP, '--export', 'BareModule'], 'ResilienceModule.forRoot()'],
    ['no file', [], 'No file was given'],
  ])('ends with 2, says why and prints no report: %s', (_, args, why) => {
    const { code, out, err } = doctor('doctor', ...args);

    expect(err).toContain(why);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  it('says how TypeScript can be loaded', () => {
    const file = join(FOLDER, 'app.module.ts');
    writeFileSync(file, 'import { Module } from "@nestjs/common";\n@Module({})\nexport class AppModule {}\n');

    const { code, err } = doctor('doctor', file);

    expect(err).toContain(
      'does not run TypeScript with decorators. Name the built file (dist/app.module.js)',
    );
    expect(code).toBe(2);
  });

  it('loads CommonJS', () => {
    const file = join(FOLDER, 'app.module.cjs');
    // An export that can be seen only once the file has run.
    writeFileSync(
      file,
      "module.exports = { ['App' + 'Module']: import('./shop.js').then((shop) => shop.GatewayModule) };\n",
    );

    const { code, err } = doctor('doctor', file);

    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  it('prints how it is used', () => {
    const { code, out } = doctor('--help');

    expect(code).toBe(0);
    expect(out).toContain('--json');
  });
});
