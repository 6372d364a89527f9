import { Injectable } from '@nestjs/common';
import { and, eq, gte } from 'drizzle-orm';
import { Bulkhead, CircuitBreaker, Resilient, Timeout } from 'nestjs-breakwater';
import { auditLog } from '../database/schema.js';
import type { AuditAction, AuditEntry } from './audit-entry.js';
import { AuditRepository } from './audit.repository.js';

interface Subject {
  readonly tenant: string;
  readonly service: string;
  readonly env: string;
  readonly version: string;
}

/** The audit log behind a bulkhead and a circuit of its own: whatever happens here, routes are resolved and written. */
@Bulkhead('audit_operations')
@CircuitBreaker('mongodb')
@Timeout({ name: 'audit', duration: '5s' })
@Injectable()
export class AuditService {
  constructor(private readonly audit: AuditRepository) {}

  @Resilient()
  async ofRoute(route: Subject, since: Date, limit: number): Promise<AuditEntry[]> {
    const { tenant, service, env, version } = auditLog;
    const condition = and(
      eq(tenant, route.tenant),
      eq(service, route.service),
      eq(env, route.env),
      eq(version, route.version),
      gte(auditLog.at, since),
    );
    return this.audit.find(condition, limit);
  }

  @Resilient()
  async recent(since: Date, limit: number): Promise<AuditEntry[]> {
    return this.audit.find(gte(auditLog.at, since), limit);
  }

  @Resilient()
  async ofAction(action: AuditAction, since: Date, limit: number): Promise<AuditEntry[]> {
    return this.audit.find(and(eq(auditLog.action, action), gte(auditLog.at, since)), limit);
  }

  @Resilient()
  async between(start: Date, end: Date, limit: number): Promise<AuditEntry[]> {
    return this.audit.between(start, end, limit);
  }

  /** Moves what changes have left in the outbox into the log; how many entries there were. */
  @Resilient()
  async record(): Promise<number> {
    return this.audit.moveOutbox();
  }
}
