/** One step of the schema. Steps are never changed once they have run anywhere: a change is a further step. */
export interface Migration {
  readonly id: number;
  readonly what: string;
  readonly sql: string;
}

export const migrations: readonly Migration[] = [
  {
    id: 1,
    what: 'routes',
    sql: `
      CREATE TABLE routes (
        id uuid PRIMARY KEY,
        tenant text NOT NULL,
        service text NOT NULL,
        env text NOT NULL,
        version text NOT NULL,
        url text NOT NULL,
        active boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        revision bigserial NOT NULL,
        CONSTRAINT routes_key UNIQUE (tenant, service, env, version)
      );
      CREATE INDEX routes_revision ON routes (revision);`,
  },
  {
    id: 2,
    what: 'the audit log and its outbox',
    sql: `
      CREATE TABLE audit_log (
        id uuid PRIMARY KEY,
        at timestamptz NOT NULL,
        action text NOT NULL,
        tenant text NOT NULL,
        service text NOT NULL,
        env text NOT NULL,
        version text NOT NULL,
        correlation_id text NOT NULL,
        details jsonb NOT NULL
      );
      CREATE INDEX audit_log_at ON audit_log (at);
      CREATE INDEX audit_log_route ON audit_log (tenant, service, env, version, at);
      CREATE TABLE audit_outbox (LIKE audit_log INCLUDING CONSTRAINTS INCLUDING INDEXES);`,
  },
];
