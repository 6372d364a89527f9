import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core';

interface Rows extends PgQueryResultHKT {
  readonly type: { readonly rows: readonly Record<string, unknown>[] };
}

/** Asks the database: the same words for the embedded one and for a server. */
export type Queries = PgDatabase<Rows>;

/** An open database. */
export interface Connection {
  readonly db: Queries;
  /** In words, for people. */
  readonly name: string;
  /** Ends it; whatever is asked from then on fails. */
  close(): Promise<void>;
}
