import { Injectable } from '@nestjs/common';
import { and, eq, sql } from 'drizzle-orm';
import { auditEntry, type AuditAction } from '../audit/audit-entry.js';
import type { Queries } from '../database/connection.js';
import { Primary } from '../database/primary.js';
import { auditOutbox, routes } from '../database/schema.js';
import type { NewRoute, Route, RouteKey } from './route.js';

/** Who changes something, for the audit log. */
export interface Change {
  readonly correlationId: string;
}

const isActive = (action: AuditAction) => action === 'activated';

/** The routes in the database. Each change leaves its audit entry in the same transaction, or neither is there. */
@Injectable()
export class RoutesRepository {
  constructor(private readonly primary: Primary) {}

  find(key: RouteKey): Promise<Route | undefined> {
    return findRoute(this.primary.db, key);
  }

  /** Adds a route. Where its key is taken, the route that has it: whoever gave that the same `id` has been here before. */
  async insert(route: NewRoute & { readonly id: string }, change: Change): Promise<Route> {
    return this.primary.db.transaction(async (transaction) => {
      const [inserted] = await transaction
        .insert(routes)
        .values({ ...route, active: true })
        .onConflictDoNothing()
        .returning();
      if (inserted === undefined) return (await findRoute(transaction, route)) as Route;
      await transaction
        .insert(auditOutbox)
        .values(auditEntry('created', route, change.correlationId, { url: route.url }));
      return inserted;
    });
  }

  /** Switches a route on or off; `undefined` where there is none. */
  async switch(
    key: RouteKey,
    action: Exclude<AuditAction, 'created'>,
    change: Change,
  ): Promise<Route | undefined> {
    return this.primary.db.transaction(async (transaction) => {
      const [route] = await transaction
        .update(routes)
        .set({
          active: isActive(action),
          updatedAt: sql`now()`,
          revision: sql`nextval(pg_get_serial_sequence('routes', 'revision'))`,
        })
        .where(isRoute(key))
        .returning();
      if (route !== undefined)
        await transaction.insert(auditOutbox).values(auditEntry(action, key, change.correlationId));
      return route;
    });
  }
}

/** The route of that key, in whichever database is asked. */
export async function findRoute(db: Queries, key: RouteKey): Promise<Route | undefined> {
  const [route] = await db.select().from(routes).where(isRoute(key)).limit(1);
  return route;
}

function isRoute({ tenant, service, env, version }: RouteKey) {
  return and(
    eq(routes.tenant, tenant),
    eq(routes.service, service),
    eq(routes.env, env),
    eq(routes.version, version),
  );
}
