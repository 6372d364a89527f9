// npm run demo, npm run load: a program of the sample that drives the running application.
import { pathToFileURL } from 'node:url';
import { sampleFile } from './build-sample.mjs';

const PROGRAMS = { demo: 'tour/main.js', load: 'load/main.js' };
const [name, ...rest] = process.argv.slice(2);
const file = Object.hasOwn(PROGRAMS, name) ? PROGRAMS[name] : undefined;
if (file === undefined) {
  console.error(`There is no program "${name}"; there are ${Object.keys(PROGRAMS).join(' and ')}.`);
  process.exit(1);
}
const entry = await sampleFile(file);
process.setSourceMapsEnabled(true);
process.argv = [process.execPath, entry, ...rest];
await import(pathToFileURL(entry).href);
