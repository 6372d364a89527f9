import { Module } from '@nestjs/common';
import { AuditModule } from '../audit/audit.module.js';
import { RouteCache } from './route-cache.js';
import { RouteLookupService } from './route-lookup.service.js';
import { RouteRegistryService } from './route-registry.service.js';
import { RouteResolverService } from './route-resolver.service.js';
import { RoutesController } from './routes.controller.js';
import { RoutesRepository } from './routes.repository.js';

@Module({
  imports: [AuditModule],
  controllers: [RoutesController],
  providers: [RoutesRepository, RouteCache, RouteLookupService, RouteResolverService, RouteRegistryService],
  exports: [RouteResolverService],
})
export class RoutesModule {}
