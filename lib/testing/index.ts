export { ManualClock, type ManualClockOptions } from './manual-clock.js';
export { seededRandom } from './seeded-random.js';
