// npm start: installs what is missing, builds what is stale, and runs the sample application.
import { pathToFileURL } from 'node:url';
import { sampleFile } from './build-sample.mjs';

const entry = await sampleFile('main.js');
// In this very process, so that signals reach the application without a hand between.
process.setSourceMapsEnabled(true);
if (process.env.npm_lifecycle_event) stopWithParent();
process.argv[1] = entry;
await import(pathToFileURL(entry).href);

/** A signal to npm ends the shell that npm put between us, and stops there: take the shell's end for the signal. */
function stopWithParent() {
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    process.kill(process.pid, 'SIGTERM');
  }, 200);
  watch.unref();
}
