export type { BlastRadius } from './blast-radius.js';
export * from './chaos.policy.js';
export type { ChaosOptions } from './chaos.options.js';
export type { Experiment } from './experiment.js';
export type {
  ExperimentPhase,
  ExperimentReport,
  ExperimentState,
  InjectedFaultReport,
  Observation,
} from './experiment-report.js';
export type { ExperimentOptions, SteadyState } from './experiment.options.js';
export { experimentText, gameDayText } from './experiment-text.js';
export type { ChaosError, ChaosErrorClass, ChaosFault } from './fault.js';
export type { FaultTarget } from './fault-target.js';
export type { GameDay, GameDayReport, GameDayState } from './game-day.js';
export type { GameDayOptions, RunbookStep } from './game-day.options.js';
export type { LiveFaultStats } from './fault-injector.js';
export { isChaosInjected } from './injected.js';
export type { ExperimentStats } from './laboratory.js';
export type { Latency, NormalLatency, UniformLatency } from './latency.js';
export type { ActiveFault, FaultEnd } from './live-fault.js';
export type { FaultOptions } from './live-fault.options.js';
export type { Metric, MetricRule } from './metric.js';
export type { ChaosMonkey, ChaosMonkeyOptions, ChaosMonkeyStats } from './monkey.js';
export type { ChaosEnvironment } from './permission.js';
