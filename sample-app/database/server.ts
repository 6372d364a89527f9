import { drizzle } from 'drizzle-orm/node-postgres';
import { Pool } from 'pg';
import type { Connection } from './connection.js';

/** Enough for all bulkheads together. */
const CONNECTIONS = 35;

/** A PostgreSQL server by its URL. Connects when it is first asked. */
export function connectServer(url: string): Connection {
  const pool = new Pool({
    connectionString: url,
    max: CONNECTIONS,
    connectionTimeoutMillis: 2_000,
    // Nobody waits for what a timeout has given up; the server need not work on it either.
    statement_timeout: 5_000,
    application_name: 'traffic-manager',
  });
  // Of connections that wait in the pool. The next query says so as well, and that is where it counts.
  pool.on('error', () => undefined);
  const { host } = new URL(url);
  return {
    db: drizzle(pool),
    name: `PostgreSQL at ${host}`,
    close: () => pool.end(),
  };
}
