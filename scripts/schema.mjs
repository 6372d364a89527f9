// npm run schema: writes resilience.schema.json from the tables that options are checked with.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureInstalled } from './install.mjs';
import { ensureBuilt } from './pack.mjs';
import { root } from './run.mjs';

ensureInstalled();
await ensureBuilt();
const { resilienceSchema } = await import('../dist/esm/config/json-schema.js');
writeFileSync(join(root, 'resilience.schema.json'), `${JSON.stringify(resilienceSchema(), null, 2)}\n`);
