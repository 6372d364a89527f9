import {
  bigserial,
  boolean,
  index,
  jsonb,
  pgTable,
  text,
  timestamp,
  unique,
  uuid,
} from 'drizzle-orm/pg-core';

/** Where the requests of a tenant's service go, by environment and version. */
export const routes = pgTable(
  'routes',
  {
    id: uuid().primaryKey(),
    tenant: text().notNull(),
    service: text().notNull(),
    env: text().notNull(),
    version: text().notNull(),
    url: text().notNull(),
    active: boolean().notNull(),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
    updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
    /** Rises with every change of any route, so that a replica can ask for what is new. */
    revision: bigserial({ mode: 'number' }).notNull(),
  },
  (table) => [
    unique('routes_key').on(table.tenant, table.service, table.env, table.version),
    index('routes_revision').on(table.revision),
  ],
);

const auditColumns = {
  id: uuid().primaryKey(),
  at: timestamp({ withTimezone: true }).notNull(),
  action: text().notNull(),
  tenant: text().notNull(),
  service: text().notNull(),
  env: text().notNull(),
  version: text().notNull(),
  correlationId: text('correlation_id').notNull(),
  details: jsonb().notNull(),
};

/** What happened to routes. */
export const auditLog = pgTable('audit_log', auditColumns, (table) => [
  index('audit_log_at').on(table.at),
  index('audit_log_route').on(table.tenant, table.service, table.env, table.version, table.at),
]);

/** What is on its way into the audit log: written with the change itself, in one transaction. */
export const auditOutbox = pgTable('audit_outbox', auditColumns);
