export type { DrainPhase } from './drain-phase.js';
export type { DrainingOptions } from './draining.options.js';
export { DrainingService, type DrainingStats } from './draining.service.js';
export { enableGracefulShutdown, type ShutdownProcess } from './graceful-shutdown.js';
export type { OnDrain } from './on-drain.js';
