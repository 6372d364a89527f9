// How large what a user imports is, bundled and minified, without peers and run-time dependencies; fails above the budget.
import { gzipSync } from 'node:zlib';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { ensureBuilt } from './pack.mjs';
import { root } from './run.mjs';

/** What is imported from the main entry, and how many kilobytes (1,000 bytes) it may take. */
const BUDGETS = [
  { what: 'one policy: CircuitBreakerPolicy', names: 'CircuitBreakerPolicy', limit: 60 },
  { what: 'one policy: RetryPolicy', names: 'RetryPolicy', limit: 60 },
  {
    what: 'a pipeline of five policies',
    names: 'Pipeline, RetryPolicy, CircuitBreakerPolicy, TimeoutPolicy, BulkheadPolicy, FallbackChain',
    limit: 118,
  },
  { what: 'the whole entry', names: '*', limit: 335 },
];

await ensureBuilt();
const entry = JSON.stringify(join(root, 'dist', 'esm', 'index.js'));
for (const { what, names, limit } of BUDGETS) {
  const contents = names === '*' ? `export * from ${entry}` : `export { ${names} } from ${entry}`;
  const { outputFiles } = buildSync({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    write: false,
    logLevel: 'error',
  });
  const [{ contents: code }] = outputFiles;
  const kilobytes = code.length / 1_000;
  const packed = gzipSync(code).length / 1_000;
  const isOver = kilobytes > limit;
  console.log(
    `${what}: ${kilobytes.toFixed(1)} kB minified, ${packed.toFixed(1)} kB compressed (at most ${limit} kB minified)${isOver ? ': too much' : ''}`,
  );
  if (isOver) process.exitCode = 1;
}
