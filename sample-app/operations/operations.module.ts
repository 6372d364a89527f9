import { Module } from '@nestjs/common';
import { ResilienceAdminModule, ResilienceHealthModule } from 'nestjs-breakwater';
import { ResilienceDashboardModule } from 'nestjs-breakwater/dashboard';
import { ResiliencePrometheusModule } from 'nestjs-breakwater/prometheus';
import { RoutesModule } from '../routes/routes.module.js';
import { DependencyProbes } from './dependencies.probes.js';
import { ExperimentsController } from './experiments.controller.js';
import { ExperimentsService } from './experiments.service.js';
import { GameDayController } from './game-day.controller.js';
import { OperationsController } from './operations.controller.js';
import { OperatorsGuard } from './operators.guard.js';

const guarded = { guards: [OperatorsGuard] };

/** How the application is watched and steered. */
@Module({
  imports: [
    RoutesModule,
    // The embedded database works in this process' own thread, and takes its time when it is opened.
    ResilienceHealthModule.register({ maxEventLoopDelay: '30s' }),
    ResiliencePrometheusModule.register({ defaultMetrics: true }),
    ResilienceAdminModule.register(guarded),
    ResilienceDashboardModule.register({ ...guarded, title: 'Traffic Manager' }),
  ],
  controllers: [OperationsController, ExperimentsController, GameDayController],
  providers: [DependencyProbes, ExperimentsService],
})
export class OperationsModule {}
