import { Module } from '@nestjs/common';
import { ResilienceAdminModule, ResilienceHealthModule, ResilienceModule } from 'nestjs-breakwater';
import { ResilienceDashboardModule } from 'nestjs-breakwater/dashboard';
import { ResiliencePrometheusModule } from 'nestjs-breakwater/prometheus';
import { OperatorsGuard } from './operators/operators.guard.js';
import { PatternsController } from './patterns/patterns.controller.js';
import { PatternsService } from './patterns/patterns.service.js';
import { PricesController } from './prices/prices.controller.js';
import { PricesService } from './prices/prices.service.js';
import { UpstreamClient } from './upstream/upstream.client.js';
import { UpstreamController } from './upstream/upstream.controller.js';

@Module({
  imports: [
    ResilienceModule.forRoot({
      requestContext: true,
      callDurations: true,
      draining: { readinessDelay: process.env['READINESS_DELAY'] ?? '1s' },
    }),
    ResilienceHealthModule.register(),
    ResilienceAdminModule.register({ guards: [OperatorsGuard] }),
    ResilienceDashboardModule.register({ guards: [OperatorsGuard], title: 'Traffic manager' }),
    ResiliencePrometheusModule.register({ defaultMetrics: true }),
  ],
  controllers: [PricesController, PatternsController, UpstreamController],
  providers: [UpstreamClient, PricesService, PatternsService],
})
export class AppModule {}
