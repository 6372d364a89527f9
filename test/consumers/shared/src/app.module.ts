import { Module } from '@nestjs/common';
import { ResilienceAdminModule, ResilienceHealthModule, ResilienceModule } from 'nestjs-breakwater';
import { ResilienceDashboardModule } from 'nestjs-breakwater/dashboard';
import { ResilienceTelemetryModule } from 'nestjs-breakwater/opentelemetry';
import { ResiliencePrometheusModule } from 'nestjs-breakwater/prometheus';
import { PaymentsController, PaymentsService } from './payments.controller.js';

@Module({
  imports: [
    ResilienceModule.forRoot({ draining: { readinessDelay: 0 } }),
    ResilienceHealthModule.register(),
    ResilienceAdminModule.register({ public: true }),
    ResilienceDashboardModule.register({ public: true }),
    ResiliencePrometheusModule.register(),
    ResilienceTelemetryModule.register(),
  ],
  controllers: [PaymentsController],
  providers: [PaymentsService],
})
export class AppModule {}
