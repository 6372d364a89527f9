// One process, both ways in: a plain Node must hold a single copy of the package ("module-sync" in its exports).
const assert = require('node:assert/strict');
const { posix } = require('node:path');
const manifest = require('nestjs-breakwater/package.json');

async function main() {
  for (const path of Object.keys(manifest.exports)) {
    if (path.endsWith('.json')) continue;
    const entry = posix.join(manifest.name, path);
    const required = require(entry);
    const imported = await import(entry);
    for (const name of Object.keys(required))
      assert.equal(required[name], imported[name], `${entry} is loaded twice: ${name} differs`);
  }
  assert.equal(typeof require('nestjs-breakwater').ResilienceError, 'function');
  console.log('require() and import() hold the same classes');
}

void main();
