// One process, both ways in: a plain Node must hold a single copy of the package ("module-sync" in its exports).
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { posix } from 'node:path';

const require = createRequire(import.meta.url);
const manifest = require('nestjs-breakwater/package.json');

// The repository around has these too; what is meant is what the consumer installed.
const installed = new URL('../node_modules/', import.meta.url).href;
for (const name of [manifest.name, ...Object.keys(manifest.dependencies), '@nestjs/core', '@nestjs/terminus'])
  assert.ok(import.meta.resolve(name).startsWith(installed), `${name} is ${import.meta.resolve(name)}`);

for (const path of Object.keys(manifest.exports)) {
  if (path.endsWith('.json')) continue;
  const entry = posix.join(manifest.name, path);
  const required = require(entry);
  const imported = await import(entry);
  for (const name of Object.keys(required))
    assert.equal(required[name], imported[name], `${entry} is loaded twice: ${name} differs`);
}
assert.equal(typeof require(manifest.name).ResilienceError, 'function');
console.log('require() and import() hold the same classes');
