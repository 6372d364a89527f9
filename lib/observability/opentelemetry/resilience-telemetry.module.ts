import { Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { sharedSymbol } from '../../core/identity.js';
import { checkOptions, defineOptions, refuseProblems } from '../../core/option-table.js';
import { unregistered } from '../../module/unregistered.js';
import { ResilienceService } from '../../module/resilience.service.js';
import { registerResilienceTelemetry, type TelemetryOptions } from './register-telemetry.js';

const TELEMETRY_OPTIONS = sharedSymbol('telemetry-options');

/** The options of telemetry, for validation and documentation. */
export const telemetryTable = defineOptions<TelemetryOptions>(
  {
    name: 'metrics',
    kind: 'boolean',
    default: true,
    sentence: 'Whether the numbers of the policies are observed.',
  },
  {
    name: 'meter',
    kind: 'any',
    optional: true,
    sentence: "Where they are observed; default the global meter provider's meter of this package.",
  },
  {
    name: 'spanEvents',
    kind: 'boolean',
    default: true,
    sentence:
      'Whether retries, rejections, time-outs, hedges and fallbacks become events of the active span.',
  },
);

/**
 * Tells OpenTelemetry about the policies of the application: their numbers through the metrics API, and what happens to a
 * call as events of the span that it runs in. Needs `ResilienceModule.forRoot()` beside it, and the package
 * `@opentelemetry/api`; the SDK is started before the application, as always.
 *
 * @example
 * @Module({ imports: [ResilienceModule.forRoot(), ResilienceTelemetryModule.register()] })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({ providers: [unregistered(TELEMETRY_OPTIONS, 'ResilienceTelemetryModule')] })
export class ResilienceTelemetryModule implements OnApplicationShutdown {
  private readonly unregister: () => void;

  constructor(
    @Inject(TELEMETRY_OPTIONS) options: TelemetryOptions,
    @Inject(ResilienceService) service: ResilienceService,
  ) {
    this.unregister = registerResilienceTelemetry(service, options);
  }

  /** @throws `InvalidOptionsError` naming every option that cannot be. */
  static register(options: TelemetryOptions = {}): DynamicModule {
    refuseProblems(checkOptions(telemetryTable, options, 'ResilienceTelemetryModule.register'));
    return {
      module: ResilienceTelemetryModule,
      providers: [{ provide: TELEMETRY_OPTIONS, useValue: options }],
    };
  }

  onApplicationShutdown(): void {
    this.unregister();
  }
}
