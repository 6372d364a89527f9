import { sql } from 'drizzle-orm';
import type { Connection } from './connection.js';
import { migrations } from './migrations.js';

/** Any number that nobody else locks. */
const LOCK = 727_001;

/** Brings the schema up to date; instances that start at the same time do it one after the other. */
export async function migrate({ db }: Connection): Promise<void> {
  await db.transaction(async (transaction) => {
    await transaction.execute(sql`SELECT pg_advisory_xact_lock(${LOCK})`);
    await transaction.execute(sql`
      CREATE TABLE IF NOT EXISTS schema_migrations (
        id integer PRIMARY KEY,
        what text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
      )`);
    for (const { id, what, sql: text } of migrations) {
      const applied = await transaction.execute(
        sql`INSERT INTO schema_migrations (id, what) VALUES (${id}, ${what}) ON CONFLICT DO NOTHING RETURNING id`,
      );
      if (applied.rows.length === 0) continue;
      for (const statement of text.split(';')) {
        if (statement.trim() !== '') await transaction.execute(sql.raw(statement));
      }
    }
  });
}
