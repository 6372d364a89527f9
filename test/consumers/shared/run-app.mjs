// Starts the compiled application as a process of its own, uses it as its users would, and ends it by SIGTERM.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const manifest = createRequire(import.meta.url)('nestjs-breakwater/package.json');

const app = spawn(process.execPath, ['dist/src/main.js'], {
  stdio: ['ignore', 'pipe', 'inherit'],
  timeout: 300_000,
  killSignal: 'SIGKILL',
});
const ended = once(app, 'exit');
try {
  const { url, protectedMethods } = await firstLine();
  const ask = (path) => fetch(url + path, { signal: AbortSignal.timeout(60_000) });

  assert.equal(protectedMethods, 2);

  const entryPoints = await (await ask('/entry-points')).json();
  const exported = Object.keys(manifest.exports).filter((path) => path !== './package.json');
  assert.deepEqual(entryPoints.sort(), exported.sort(), 'src/entry-points.ts imports every entry point');

  assert.equal(await (await ask('/charge')).text(), 'charged');
  const degraded = await ask('/rates');
  assert.deepEqual([degraded.status, await degraded.text()], [200, 'cached']);

  const health = await ask('/health');
  assert.deepEqual([health.status, (await health.json()).status], [200, 'ok']);

  const failed = [await ask('/fail'), await ask('/fail')];
  assert.deepEqual([failed[0].status, failed[1].status], [500, 500]);
  const refused = await ask('/charge');
  assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '3600']);
  assert.equal((await refused.json()).code, 'CIRCUIT_OPEN');

  assert.match(await (await ask('/metrics')).text(), /payments/);
  assert.equal((await ask('/resilience-dashboard')).status, 200);

  app.kill('SIGTERM');
  assert.deepEqual(await ended, [0, null]);
  console.log('The application serves, fails fast, tells its health, and ends with 0');
} finally {
  app.kill('SIGKILL');
}

/** What the application says once it listens. */
async function firstLine() {
  for await (const line of createInterface({ input: app.stdout })) return JSON.parse(line);
  throw new Error('The application ended before it listened.');
}
