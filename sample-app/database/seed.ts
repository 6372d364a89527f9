import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Connection } from './connection.js';
import { routes } from './schema.js';

/** What an empty registry begins with. */
const SEEDS = [
  ['acme', 'checkout', 'prod', 'v1', 'https://checkout.acme.example/v1'],
  ['acme', 'checkout', 'prod', 'v2', 'https://checkout.acme.example/v2'],
  ['acme', 'search', 'prod', 'v1', 'https://search.acme.example/v1'],
  ['globex', 'billing', 'prod', 'v1', 'https://billing.globex.example/v1'],
  ['globex', 'billing', 'staging', 'v2', 'https://billing.staging.globex.example/v2'],
] as const;

/** Fills a registry that has never had a route. */
export async function seed({ db }: Connection): Promise<void> {
  const [counted] = await db.select({ count: sql<number>`count(*)::int` }).from(routes);
  if (counted !== undefined && counted.count > 0) return;
  await db
    .insert(routes)
    .values(
      SEEDS.map(([tenant, service, env, version, url]) => ({
        id: randomUUID(),
        tenant,
        service,
        env,
        version,
        url,
        active: true,
      })),
    )
    .onConflictDoNothing();
}
