import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import type { Registry, RegistryContentType } from 'prom-client';
import { decoratorsRow, guardsRow, importsRow } from '../../core/controller-rows.js';
import { defineOptions } from '../../core/option-table.js';

/** Options of `ResiliencePrometheusModule.register()`. @publicApi */
export interface ResiliencePrometheusOptions {
  /** Where the metrics are served. Default `metrics`. */
  readonly path?: string;
  /** Guards in front of the route, as in `@UseGuards()`. Default none: Prometheus comes without a user. */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
  /** Modules that export what the guards need. */
  readonly imports?: ModuleMetadata['imports'];
  /** Further decorators for the controller: what a global guard reads, such as `Public()`. */
  readonly decorators?: readonly ClassDecorator[];
  /** Where the metrics are registered, and what is served. Default: a registry of the application's own. */
  readonly registry?: Registry<RegistryContentType>;
  /** Whether the process' own metrics (CPU, memory, event loop) are collected into the registry too. Default false. */
  readonly defaultMetrics?: boolean;
}

/** The options as they are used. */
export interface PrometheusSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
  readonly imports: NonNullable<ModuleMetadata['imports']>;
  readonly decorators: readonly ClassDecorator[];
  readonly registry: Registry<RegistryContentType> | undefined;
  readonly defaultMetrics: boolean;
}

/** The options of the Prometheus module, for validation and documentation. */
export const prometheusTable = defineOptions<ResiliencePrometheusOptions, PrometheusSettings>(
  { name: 'path', kind: 'string', default: 'metrics', sentence: 'Where the metrics are served.' },
  guardsRow,
  importsRow,
  decoratorsRow('Public()'),
  {
    name: 'registry',
    kind: 'any',
    optional: true,
    sentence: "Where the metrics are registered, and what is served; default one of the application's own.",
  },
  {
    name: 'defaultMetrics',
    kind: 'boolean',
    default: false,
    sentence: "Whether the process' own metrics are collected into the registry too.",
  },
);
