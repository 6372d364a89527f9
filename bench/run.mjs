// npm run bench: measures what is here next to its peers, and writes bench/results.md. Arguments choose rows by a word
// of their title; a chosen run only prints.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { ensureBuilt } from '../scripts/pack.mjs';
import { ensureInstalled } from '../scripts/install.mjs';

const ROUNDS = 15;
const here = fileURLToPath(new URL('.', import.meta.url));
const wanted = process.argv.slice(2).map((word) => word.toLowerCase());

if (globalThis.gc === undefined) {
  ensureInstalled();
  await ensureBuilt();
  if (!existsSync(`${here}peers/node_modules/@nest-lab/throttler-storage-redis`)) {
    console.log('Installing what we compare with: npm ci in bench/peers');
    const { status } = spawnSync('npm', ['ci', '--ignore-scripts', '--loglevel=error'], {
      cwd: `${here}peers`,
      stdio: 'inherit',
    });
    if (status !== 0) process.exit(status ?? 1);
  }
  // Again with what the measurements of memory need, and without what nobody measures: warnings of other libraries.
  const again = [
    '--expose-gc',
    '--disable-warning=ExperimentalWarning',
    fileURLToPath(import.meta.url),
    ...wanted,
  ];
  process.exit(spawnSync(process.execPath, again, { stdio: 'inherit' }).status ?? 1);
}

const { measure } = await import('./rounds.mjs');
const sections = [];
for (const file of ['calls', 'outage', 'queue', 'rate-limit', 'context', 'redis']) {
  const { rows } = await import(`./${file}.bench.mjs`);
  for (const row of rows.filter(({ title }) => chosen(title))) {
    console.error(`measuring: ${row.title}`);
    const results = await measure(await row.cases(), row.rounds ?? ROUNDS);
    await row.end?.();
    sections.push(timeTable(row, results));
  }
}
if (wanted.length === 0 || wanted.includes('bytes')) {
  const { weigh } = await import('./memory.bench.mjs');
  console.error('weighing');
  for (const row of weigh()) sections.push(weightTable(row));
}

if (wanted.length === 0 || wanted.includes('idle')) {
  const { idle } = await import('./idle.bench.mjs');
  console.error('idling');
  for (const row of idle()) sections.push(weightTable(row));
}

if (wanted.length === 0 || wanted.includes('stopped')) {
  const { stopped } = await import('./redis.bench.mjs');
  console.error('stopping a store');
  for (const row of await stopped()) sections.push(weightTable(row));
}

if (wanted.length === 0 || wanted.includes('http')) {
  const { overHttp } = await import('./http.bench.mjs');
  console.error('measuring over HTTP');
  for (const table of await overHttp()) sections.push(httpTable(table));
}

const text = `${heading()}\n${sections.join('\n')}`;
console.log(text);
if (wanted.length === 0) writeFileSync(`${here}results.md`, text);

function chosen(title) {
  return wanted.length === 0 || wanted.some((word) => title.toLowerCase().includes(word));
}

function heading() {
  const [cpu] = cpus();
  const { version } = JSON.parse(readFileSync(`${here}../package.json`, 'utf8'));
  const gib = Math.round(totalmem() / 2 ** 30);
  return `# Benchmark results

nestjs-breakwater ${version}, made by \`npm run bench\` on Node ${process.versions.node}, ${process.platform} ${process.arch}, ${cpus().length} × ${cpu.model.trim()}, ${gib} GiB.
One process, interleaved rounds, medians. Only the ratios carry over to another machine: absolute times on a shared one
vary from run to run.
`;
}

function timeTable({ title, target, calls = 1 }, results) {
  const reference = results.get('pass-through async wrapper') ?? results.values().next().value;
  const mine = results.get('nestjs-breakwater');
  const lines = [...results].map(([name, ns]) => {
    const each = ns / calls;
    return `| ${name} | ${each < 10_000 ? Math.round(each) : Math.round(each).toLocaleString('en')} | ${(ns / reference).toFixed(2)} | ${(ns / mine).toFixed(2)} |`;
  });
  const against = results.has('pass-through async wrapper') ? 'the wrapper' : 'the first';
  return `## ${title}\n${target ? `\nTarget: ${target}.\n` : ''}\n| | ns | × ${against} | × ours |\n| --- | ---: | ---: | ---: |\n${lines.join('\n')}\n`;
}

function httpTable({ title, cases }) {
  const of = (name) => cases.find(([each]) => each.startsWith(name))[1];
  const lines = cases.map(([name, perSecond]) => {
    const toBare = (perSecond / of('bare')).toFixed(2);
    return `| ${name} | ${Math.round(perSecond).toLocaleString('en')} | ${toBare} | ${(perSecond / of('an empty')).toFixed(2)} |`;
  });
  const target =
    'through the guard ≥ 0.9 (Fastify) or 0.95 (Express) of bare; with our interceptor ≥ 0.95 of an empty one';
  return `## ${title}\n\nTarget: ${target}.\n\n| | requests/s | × bare | × an empty interceptor |\n| --- | ---: | ---: | ---: |\n${lines.join('\n')}\n`;
}

function weightTable({ title, target, unit = 'bytes', cases }) {
  const digits = unit === 'bytes' ? 0 : 2;
  const shown = (value) => value.toLocaleString('en', { maximumFractionDigits: digits });
  const lines = cases.map(([name, value]) => `| ${name} | ${shown(value)} |`);
  return `## ${title}\n\nTarget: ${target}.\n\n| | ${unit} |\n| --- | ---: |\n${lines.join('\n')}\n`;
}
