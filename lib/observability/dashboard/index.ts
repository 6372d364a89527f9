export type { ResilienceDashboardOptions } from './dashboard.options.js';
export { ResilienceDashboardModule } from './resilience-dashboard.module.js';
