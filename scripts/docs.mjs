// npm run docs: writes the tables of options into the pages, from the tables by which options are checked.
// They stand between <!-- options: retry --> and <!-- /options -->; test/docs/option-tables.spec.ts knows the names.
import { ensureInstalled } from './install.mjs';
import { npm, run } from './run.mjs';

ensureInstalled();
const [program, args] = npm(['run', '--silent', 'test:unit', '--', 'test/docs/option-tables.spec.ts']);
process.exitCode = run(program, args, { env: { ...process.env, WRITE_DOCS: 'true' } });
