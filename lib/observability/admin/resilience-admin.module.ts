import { Module, type DynamicModule } from '@nestjs/common';
import { unregistered } from '../../module/unregistered.js';
import { RUNTIME_TOKEN } from '../../decorators/runtime.js';
import { EventLog } from '../../module/events/event-log.js';
import type { ResilienceRuntime } from '../../module/resilience.runtime.js';
import { createAdminController } from './admin.controller.js';
import { adminSettings, type ResilienceAdminOptions } from './admin.options.js';
import { EventStreams } from './event-streams.js';
import { openApiProvider } from './open-api.js';
import { PolicyControl } from './policy-control.js';

/**
 * Control over the policies of a running application, over HTTP: their numbers, their events as they happen, circuits
 * opened and closed by hand, options changed, chaos started and stopped. It is not there unless it is imported, and it
 * does not start without a guard unless told `public: true`. Needs `ResilienceModule.forRoot()` beside it.
 *
 * @example
 * @Module({ imports: [ResilienceModule.forRoot(), ResilienceAdminModule.register({ guards: [OperatorsGuard] })] })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({ providers: [unregistered(EventStreams, 'ResilienceAdminModule')] })
export class ResilienceAdminModule {
  /** @throws {@link InvalidOptionsError} where it has neither a guard nor `public: true`, or an option cannot be. */
  static register(options: ResilienceAdminOptions = {}): DynamicModule {
    const settings = adminSettings(options);
    const controller = createAdminController(settings);
    return {
      module: ResilienceAdminModule,
      imports: [...(options.imports ?? [])],
      controllers: [controller],
      providers: [
        PolicyControl,
        {
          provide: EventStreams,
          inject: [RUNTIME_TOKEN, EventLog, PolicyControl],
          useFactory: (runtime: ResilienceRuntime, log: EventLog, control: PolicyControl) =>
            new EventStreams(
              runtime,
              log,
              () => ({ ...control.overview(), readOnly: settings.readOnly }),
              settings.maxStreams,
            ),
        },
        openApiProvider(controller),
      ],
    };
  }
}
