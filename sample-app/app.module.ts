import { Module, type DynamicModule, type MiddlewareConsumer, type NestModule } from '@nestjs/common';
import { AuditModule } from './audit/audit.module.js';
import { CacheModule } from './cache/cache.module.js';
import { correlate } from './correlation/correlation.js';
import { DatabaseModule } from './database/database.module.js';
import { DemoModule } from './demo/demo.module.js';
import { OperationsModule } from './operations/operations.module.js';
import { PatternsModule } from './patterns/patterns.module.js';
import { PricesModule } from './prices/prices.module.js';
import { QuotesModule } from './quotes/quotes.module.js';
import { RedisModule } from './redis/redis.module.js';
import { resilience } from './resilience/resilience.js';
import { RoutesModule } from './routes/routes.module.js';
import type { Settings } from './settings/settings.js';
import { SettingsModule } from './settings/settings.module.js';
import { UpstreamModule } from './upstream/upstream.module.js';

@Module({
  imports: [
    resilience,
    RedisModule,
    DatabaseModule,
    CacheModule,
    RoutesModule,
    AuditModule,
    UpstreamModule,
    PricesModule,
    QuotesModule,
    PatternsModule,
    DemoModule,
    OperationsModule,
  ],
})
export class AppModule implements NestModule {
  static register(settings: Settings): DynamicModule {
    return { module: AppModule, imports: [SettingsModule.register(settings)] };
  }

  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(correlate).forRoutes('{*path}');
  }
}
