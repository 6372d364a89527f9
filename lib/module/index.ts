export type { ChaosModuleOptions } from './chaos-module.options.js';
export { ChaosService, type ChaosServiceStats } from './chaos.service.js';
export type { EventType, PolicyEventDetails, PolicyEventOf } from './events/event-catalogue.js';
export { EventLog, type LoggedError, type LoggedEvent, type LoggedValue } from './events/event-log.js';
export type { EventChoice, EventOptions } from './events/events.options.js';
export type { ErrorBody } from './error-translation.js';
export { ResilienceExceptionFilter } from './resilience-exception.filter.js';
export type {
  HttpOptions,
  NamedPolicies,
  PolicyDefaults,
  ResilienceModuleOptions,
} from './resilience.options.js';
export {
  ResilienceModule,
  type ResilienceModuleAsyncOptions,
  type ResilienceOptionsFactory,
} from './resilience.module.js';
export type { SharedStateStats } from './shared-fleet.js';
export { ResilienceService, type ResilienceStats } from './resilience.service.js';
