import { Module } from '@nestjs/common';
import { ResilienceHealthModule, ResilienceModule } from 'nestjs-breakwater';
import { ResiliencePrometheusModule } from 'nestjs-breakwater/prometheus';
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
    ResiliencePrometheusModule.register({ defaultMetrics: true }),
  ],
  controllers: [PricesController, PatternsController, UpstreamController],
  providers: [UpstreamClient, PricesService, PatternsService],
})
export class AppModule {}
