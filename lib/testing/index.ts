export { bindResilience, type BoundInstance } from './bind-resilience.js';
export { forcePolicy, type ForcedState } from './force-policy.js';
export { ManualClock, type ManualClockOptions } from './manual-clock.js';
export { resilienceMatchers, type ResilienceMatchers } from './matchers.js';
export { recordEvents, type EventRecorder } from './record-events.js';
export { ResilienceTestingModule } from './resilience-testing.module.js';
export { seededRandom } from './seeded-random.js';
