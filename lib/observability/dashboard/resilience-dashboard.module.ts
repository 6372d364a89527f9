import { Module, type DynamicModule } from '@nestjs/common';
import { unregistered } from '../../module/unregistered.js';
import { sharedSymbol } from '../../core/identity.js';
import { createDashboardController } from './dashboard.controller.js';
import { dashboardSettings, type ResilienceDashboardOptions } from './dashboard.options.js';

const DASHBOARD_OPTIONS = sharedSymbol('dashboard-options');

/**
 * A page that shows the policies of an application live, with a button for what an operator can do about them. It gets its
 * numbers from `ResilienceAdminModule`, which has to be mounted too, and is behind the same guards.
 *
 * @example
 * const access = { guards: [OperatorsGuard] };
 * @Module({
 *   imports: [
 *     ResilienceModule.forRoot(),
 *     ResilienceAdminModule.register(access),
 *     ResilienceDashboardModule.register(access),
 *   ],
 * })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({ providers: [unregistered(DASHBOARD_OPTIONS, 'ResilienceDashboardModule')] })
export class ResilienceDashboardModule {
  /** @throws `InvalidOptionsError` where it has neither a guard nor `public: true`, or an option cannot be. */
  static register(options: ResilienceDashboardOptions = {}): DynamicModule {
    const settings = dashboardSettings(options);
    return {
      module: ResilienceDashboardModule,
      imports: [...(options.imports ?? [])],
      controllers: [createDashboardController(settings)],
      providers: [{ provide: DASHBOARD_OPTIONS, useValue: settings }],
    };
  }
}
