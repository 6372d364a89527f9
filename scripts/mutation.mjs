// npm run mutation: mutates lib/policies and lib/pipeline, a folder at a time, and writes docs/mutation.md when it has a
// report of each. With arguments only these folders: npm run mutation -- retry. With --summary nothing runs.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { format } from 'prettier';
import { folders, reportsFolder } from './mutation-folders.mjs';
import { root, run } from './run.mjs';

const LEAST_PERCENT = 85;
const SUMMARY = join(root, 'docs', 'mutation.md');
/** Each test runs once for each mutant, so that properties must do with few runs. */
const RUNS_OF_PROPERTIES = '10';

/**
 * Why mutants that live are right to: by file, and then by what is changed into what, and ` in ` which line where the same
 * change elsewhere means something else. Or, with `killedBy`, the title of the test that kills one, which the run did not
 * have yet, or does not run.
 */
const explanations = JSON.parse(readFileSync(join(root, 'test', 'mutation-survivors.json'), 'utf8'));

const given = process.argv.slice(2);
for (const folder of given.includes('--summary') ? [] : chosen()) {
  const stryker = join(root, 'node_modules', '@stryker-mutator', 'core', 'bin', 'stryker.js');
  const env = { ...process.env, MUTATION_FOLDER: folder, FAST_CHECK_RUNS: RUNS_OF_PROPERTIES };
  if (run(process.execPath, [stryker, 'run'], { env }) !== 0) process.exitCode = 1;
}
await summarize();

function chosen() {
  if (given.length === 0) return folders;
  const found = folders.filter((folder) => given.some((name) => folder.endsWith(name)));
  if (found.length === 0) console.error(`No such folder. There are ${folders.join(', ')}.`);
  return found;
}

async function summarize() {
  const missing = folders.filter((folder) => !existsSync(reportOf(folder)));
  if (missing.length > 0) {
    console.log(`docs/mutation.md stays as it is: no report yet of ${missing.join(', ')}.`);
    return;
  }
  const results = folders.map(read);
  const text = page(results);
  writeFileSync(SUMMARY, await format(text, { parser: 'markdown', printWidth: 120 }));
  for (const { folder, score } of results) {
    if (score >= LEAST_PERCENT) continue;
    console.error(`lib/${folder}: ${score.toFixed(1)} % is below ${LEAST_PERCENT} %.`);
    process.exitCode = 1;
  }
  for (const reason of idleReasons(results)) {
    // No failure: whether a mutant that hangs is found in time depends on the machine.
    console.error(`test/mutation-survivors.json: no mutant that lives is ${reason}.`);
  }
  for (const title of unknownTests(results)) {
    console.error(`No test is called ${JSON.stringify(title)}, which shall kill a mutant.`);
    process.exitCode = 1;
  }
}

/** What is explained, and is killed by now, or not there any more. */
function idleReasons(results) {
  const used = new Set(
    results.flatMap(({ alive }) => alive.map(({ file, reasonOf }) => `${file}: ${reasonOf}`)),
  );
  return Object.entries(explanations)
    .flatMap(([file, changes]) => Object.keys(changes).map((change) => `${file}: ${change}`))
    .filter((reason) => !used.has(reason));
}

function unknownTests(results) {
  const tests = readdirSync(join(root, 'test'), { recursive: true })
    .filter((name) => name.endsWith('.spec.ts') && !name.includes('node_modules'))
    .map((name) => readFileSync(join(root, 'test', name), 'utf8'));
  const titles = new Set(results.flatMap(({ alive }) => alive.flatMap(({ killedBy }) => killedBy ?? [])));
  return [...titles].filter((title) => !tests.some((text) => text.includes(title)));
}

function reportOf(folder) {
  return join(root, reportsFolder(folder), 'mutation.json');
}

function read(folder) {
  const counts = { Killed: 0, Timeout: 0, Survived: 0, NoCoverage: 0, Ignored: 0 };
  const alive = [];
  let changed = 0;
  for (const [file, { source, mutants }] of Object.entries(
    JSON.parse(readFileSync(reportOf(folder), 'utf8')).files,
  )) {
    const path = join(root, file);
    if (!existsSync(path) || readFileSync(path, 'utf8') !== source) changed++;
    for (const mutant of mutants) {
      counts[mutant.status] = (counts[mutant.status] ?? 0) + 1;
      if (mutant.status === 'Survived' || mutant.status === 'NoCoverage')
        alive.push(survivor(file, source, mutant));
    }
  }
  const killed = counts.Killed + counts.Timeout;
  const score = (100 * killed) / (killed + counts.Survived + counts.NoCoverage);
  return { folder, counts, killed, alive, score, changed };
}

function survivor(file, source, { location: { start, end }, replacement }) {
  const lines = source.split('\n').slice(start.line - 1, end.line);
  lines.push(lines.pop().slice(0, end.column - 1));
  lines[0] = lines[0].slice(start.column - 1);
  const change = `${short(lines.join(' '))} → ${short(replacement)}`;
  const known = explanations[file] ?? {};
  const inLine = `${change} in ${short(source.split('\n')[start.line - 1])}`;
  const reasonOf = known[inLine] === undefined ? change : inLine;
  const reason = known[reasonOf];
  const why = typeof reason === 'string' ? reason : undefined;
  return { file, line: start.line, change, why, killedBy: reason?.killedBy, reasonOf };
}

function short(code) {
  const text = code.replace(/\s+/g, ' ').trim();
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

function page(results) {
  const rows = results.map(
    ({ folder, counts, killed, alive, score, changed }) =>
      `| \`lib/${folder}\` | ${score.toFixed(1)} % | ${killed} | ${alive.length} | ${alive.filter(({ why }) => why !== undefined).length} | ${alive.filter(({ killedBy }) => killedBy !== undefined).length} | ${counts.Ignored} | ${changed} |`,
  );
  const alive = results.flatMap((result) => result.alive);
  const explained = alive.filter(({ why }) => why !== undefined);
  const killedSince = alive.filter(({ killedBy }) => killedBy !== undefined);
  const open = alive.filter(({ why, killedBy }) => why === undefined && killedBy === undefined);
  return `# Mutation tests

\`npm run mutation\` changes the sources of \`lib/policies\` and \`lib/pipeline\`, one small thing at a time, and looks whether a
test goes red. A mutant that lives shows a test that is missing, code that does nothing, or a change that nobody can see
from outside; the last kind has its reason in \`test/mutation-survivors.json\`, which also names the test where one has been
written since.

| command | |
| --- | --- |
| \`npm run mutation\` | all folders, one after the other |
| \`npm run mutation -- retry\` | one folder; again, only what has changed since |
| \`npm run mutation -- --summary\` | runs nothing, and writes this page from the reports of the last runs |

The reports are \`.tmp/mutation/*/mutation.html\`, one of each folder. A folder shall have ${LEAST_PERCENT} % or more.

Not mutated: re-exports, reports in words, HTTP clients with real sockets, and what shares state between instances
(\`stryker.config.mjs\`). Not counted, as "ignored": texts for people (\`scripts/mutation-ignores.mjs\`), and what is evaluated
once as a module loads, such as option tables. Models run with fewer random traces than in \`npm test\`, and tests of load
are smaller.

## Scores

Killed are mutants that turn a test red, or that never end. The last column counts files that have been changed since the
run that this row is from: where it is not 0, the row is of an earlier state of these. Tests that are newer than a run
count from the next one on.

| folder | score | killed | alive | of these explained | of these killed since | ignored | files changed since |
| --- | --: | --: | --: | --: | --: | --: | --: |
${rows.join('\n')}

## Alive, and why that is right

${table(explained, 'why')}

## Alive in the run, and killed since

By a test that is newer than the run, or that runs for no mutant, such as one with real sockets. Each was tried by hand.

${table(killedSince, 'killedBy')}

## Alive, and not looked at yet

${table(open)}
`;
}

function table(mutants, ...more) {
  if (mutants.length === 0) return 'None.';
  // Lines of a file that are changed alike have one row.
  const rows = new Map();
  for (const { file, line, change, why, killedBy } of mutants) {
    const reason = why ?? killedBy;
    const key = `${file} ${change} ${reason}`;
    const row = rows.get(key) ?? { file: file.replace('lib/', ''), lines: [], change, reason };
    row.lines.push(line);
    rows.set(key, row);
  }
  const cell = (text) => text.replaceAll('|', '\\|');
  const code = (text) => (text.includes('`') ? `\`\` ${text} \`\`` : `\`${text}\``);
  return [
    ['file', 'line', 'change', ...more.map((column) => (column === 'killedBy' ? 'killed by' : column))],
    ['---', '---', '---', ...more.map(() => '---')],
    ...[...rows.values()].map(({ file, lines, change, reason }) => [
      `\`${file}\``,
      [...new Set(lines)].join(', '),
      cell(code(change)),
      ...(more.length > 0 ? [cell(reason)] : []),
    ]),
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n');
}
