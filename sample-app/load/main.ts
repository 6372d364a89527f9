// npm run load: the same load on the same failing dependency, without the policies and with them.
import { LiveView } from './live-view.js';
import { measure } from './measure.js';
import { PATIENCE_SECONDS, PHASES, REQUESTS_PER_SECOND } from './scenario.js';
import { table } from './table.js';

const phases = PHASES.map(({ name, seconds }) => `${seconds} s ${name}`).join(', ');
console.log(
  `${REQUESTS_PER_SECOND} requests per second to /prices/tea, by clients that wait ${PATIENCE_SECONDS} s.\nThe dependency is: ${phases}.`,
);
const view = new LiveView();
const without = await measure('without', 'off', view);
const withPolicies = await measure('with nestjs-breakwater', 'on', view);
console.log(`\n${table([without, withPolicies])}`);
