import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import type { Duration } from '../core/duration.js';
import { sharedSymbol } from '../core/identity.js';
import { decoratorsRow, guardsRow, importsRow } from '../core/controller-rows.js';
import { defineOptions } from '../core/option-table.js';
import { probeRows, type ProbeOptions } from './probe.options.js';
import type { ProbeCheck } from './probe.js';

/** Where the health module's options are provided. */
export const HEALTH_OPTIONS = sharedSymbol('health-options');

/** A probe with what it checks, for those that need nothing injected. @publicApi */
export interface GivenProbe extends ProbeOptions {
  readonly name: string;
  readonly check: ProbeCheck;
}

/** Options of `ResilienceHealthModule.register()`. @publicApi */
export interface ResilienceHealthOptions {
  /** Where the endpoints are mounted. Default `health`. */
  readonly path?: string;
  /** Guards in front of the endpoints, as in `@UseGuards()`. Default none: a kubelet comes without a user. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
  /** Modules that export what the guards need. */
  readonly imports?: ModuleMetadata['imports'];
  /** Further decorators for the controller: what a global guard reads, such as `Public()`. */
  readonly decorators?: readonly ClassDecorator[];
  /** What an open circuit breaker does to readiness. Default `degraded`: 200, and it is named. */
  readonly openBreakers?: 'degraded' | 'unready' | 'ignore';
  /** An event loop that was blocked for longer makes the process not live. Default 10 s. */
  readonly maxEventLoopDelay?: Duration;
  /** A heap that is fuller, in percent of its limit, makes the process not live. Default 98. */
  readonly maxHeapPercent?: number;
  /** Probes beside those of `@HealthProbe`. */
  readonly probes?: readonly GivenProbe[];
}

/** The options without those of the endpoints. @publicApi */
export type ResilienceIndicatorOptions = Omit<
  ResilienceHealthOptions,
  'path' | 'guards' | 'imports' | 'decorators'
>;

/** The options as they are used. */
export interface HealthSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
  readonly imports: NonNullable<ModuleMetadata['imports']>;
  readonly decorators: readonly ClassDecorator[];
  readonly openBreakers: 'degraded' | 'unready' | 'ignore';
  readonly maxEventLoopDelay: number;
  readonly maxHeapPercent: number;
  readonly probes: readonly GivenProbe[];
}

const givenProbeTable = defineOptions<GivenProbe, object>(
  ...probeRows.map((row) =>
    row.name === 'name' ? { name: row.name, kind: row.kind, sentence: row.sentence } : row,
  ),
  { name: 'check', kind: 'function', sentence: 'What it checks.' },
);

const indicatorRows = [
  {
    name: 'openBreakers',
    kind: 'one-of',
    values: ['degraded', 'unready', 'ignore'],
    default: 'degraded',
    sentence: 'What an open circuit breaker does to readiness.',
  },
  {
    name: 'maxEventLoopDelay',
    kind: 'duration',
    default: '10s',
    sentence: 'An event loop that was blocked for longer makes the process not live.',
  },
  {
    name: 'maxHeapPercent',
    kind: 'percent',
    above: 0,
    default: 98,
    sentence: 'A heap that is fuller, in percent of its limit, makes the process not live.',
  },
  {
    name: 'probes',
    kind: 'list',
    each: { kind: 'object', fields: givenProbeTable },
    default: [],
    defaultText: 'none',
    sentence: 'Probes beside those of `@HealthProbe`, for which nothing has to be injected.',
  },
] as const;

/** The options of indicators alone, for validation. */
export const indicatorsTable = defineOptions<ResilienceIndicatorOptions, object>(...indicatorRows);

/** The options of the health module, for validation and documentation. */
export const healthTable = defineOptions<ResilienceHealthOptions, HealthSettings>(
  { name: 'path', kind: 'string', default: 'health', sentence: 'Where the endpoints are mounted.' },
  guardsRow,
  importsRow,
  decoratorsRow('Public()'),
  ...indicatorRows,
);
