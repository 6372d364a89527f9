export type { AccessOptions, ResilienceAdminOptions } from './admin.options.js';
export { ResilienceAdminModule } from './resilience-admin.module.js';
