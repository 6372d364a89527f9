import { Injectable } from '@nestjs/common';
import { sql } from 'drizzle-orm';
import { Probe, type ProbeResult } from 'nestjs-breakwater';
import { CacheStore } from '../cache/cache-store.js';
import { Primary } from '../database/primary.js';
import { UpstreamClient } from '../upstream/upstream.client.js';

/** The deep check of the demo API: asks everything that it stands on. */
@Injectable()
export class DemoHealthService {
  private readonly probe = new Probe({ kind: 'deep', name: 'demo_api', timeout: '5s', graceFailures: 3 });

  constructor(
    private readonly primary: Primary,
    private readonly cache: CacheStore,
    private readonly upstream: UpstreamClient,
  ) {}

  check(): Promise<ProbeResult> {
    return this.probe.check(async () => {
      await this.primary.db.execute(sql`SELECT 1`);
      await this.cache.ping();
      await this.upstream.price('ping');
      return { database: 'ok', cache: 'ok', api: 'ok' };
    });
  }
}
