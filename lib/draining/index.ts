export { DrainingService, type DrainingStats } from './draining.service.js';
