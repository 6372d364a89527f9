export { Priority, type CallInfo, type CallOptions } from './core/call.js';
export type { CallDurationStats, CallEnd, PipelineDurations } from './core/call-durations.js';
export type { Clock, RandomSource } from './core/clock.js';
export type { Duration } from './core/duration.js';
export type { PolicyEnvironment } from './core/environment.js';
export * from './core/errors.js';
export {
  EventHub,
  type EventKind,
  type EventSelection,
  type PolicyEvent,
  type PolicyEventListener,
} from './core/events.js';
export type { Matcher, MatcherFields, MatcherPart } from './core/matcher.js';
export type { Policy, PolicyKind } from './core/policy.js';
export type * from './core/shared-state.js';
export { SystemClock } from './core/system-clock.js';
export * from './policies/index.js';
export * from './decorators/index.js';
export * from './module/index.js';
export { DEFAULT_ORDER, Pipeline, type PipelinePolicy, type PipelineSlot } from './pipeline/index.js';
export * from './draining/index.js';
export * from './config/index.js';
export * from './health/index.js';
export * from './observability/admin/index.js';
