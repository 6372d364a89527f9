import { Module } from '@nestjs/common';
import { AuditController } from './audit.controller.js';
import { AuditRelay } from './audit.relay.js';
import { AuditRepository } from './audit.repository.js';
import { AuditService } from './audit.service.js';

@Module({
  controllers: [AuditController],
  providers: [AuditRepository, AuditService, AuditRelay],
  exports: [AuditRelay],
})
export class AuditModule {}
