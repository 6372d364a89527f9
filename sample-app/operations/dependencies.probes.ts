import { Injectable } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { HealthProbe } from 'nestjs-breakwater';
import { CacheStore } from '../cache/cache-store.js';
import { Primary } from '../database/primary.js';
import { auditLog } from '../database/schema.js';

/** What the application stands on. Without its database it is not ready; without the others it is degraded. */
@Injectable()
export class DependencyProbes {
  constructor(
    private readonly primary: Primary,
    private readonly cache: CacheStore,
  ) {}

  @HealthProbe({ kind: 'readiness', name: 'database', interval: '5s', timeout: '3s', graceFailures: 3 })
  async database(): Promise<void> {
    await this.primary.db.execute(sql`SELECT 1`);
  }

  @HealthProbe({ kind: 'readiness', name: 'cache', interval: '5s', timeout: '1s', critical: false })
  async cached(): Promise<void> {
    await this.cache.ping();
  }

  @HealthProbe({ kind: 'readiness', name: 'mongodb', interval: '5s', timeout: '3s', critical: false })
  async audit(): Promise<void> {
    await this.primary.db.select({ id: auditLog.id }).from(auditLog).limit(1);
  }
}
