import { sql } from 'drizzle-orm';
import type { Connection, Queries } from './connection.js';
import { IN_MEMORY, openEmbedded, type EmbeddedConnection } from './embedded.js';
import type { Primary } from './primary.js';
import { routes } from './schema.js';

/** A copy to read from while the primary is away; a moment behind it. */
export interface Replica {
  /** @throws Error where there is none. */
  readonly db: Queries;
  close(): Promise<void>;
}

/** For an application without a replica. */
export const noReplica: Replica = {
  get db(): Queries {
    throw new Error('There is no replica: REPLICA_URL names one.');
  },
  close: async () => {},
};

const FOLLOW_EVERY_MS = 100;

/** A second embedded database, in memory, that follows the first by the revisions of its rows. */
export class EmbeddedReplica implements Replica {
  private timer: NodeJS.Timeout | undefined;
  private seen = 0;
  private closed = false;

  private constructor(
    private readonly primary: Primary<EmbeddedConnection>,
    private readonly copy: Connection,
  ) {}

  static async of(primary: Primary<EmbeddedConnection>): Promise<EmbeddedReplica> {
    const replica = new EmbeddedReplica(
      primary,
      await openEmbedded(IN_MEMORY, await primary.connected.dump()),
    );
    await replica.catchUp();
    replica.next();
    return replica;
  }

  get db(): Queries {
    return this.copy.db;
  }

  async close(): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    await this.copy.close();
  }

  private next(): void {
    this.timer = setTimeout(() => {
      // While the primary is away there is nothing new.
      void this.catchUp()
        .catch(() => undefined)
        .finally(() => {
          if (!this.closed) this.next();
        });
    }, FOLLOW_EVERY_MS);
    this.timer.unref();
  }

  private async catchUp(): Promise<void> {
    const news = await this.primary.db
      .select()
      .from(routes)
      .where(sql`${routes.revision} > ${this.seen}`)
      .orderBy(routes.revision);
    for (const row of news) {
      await this.db.insert(routes).values(row).onConflictDoUpdate({ target: routes.id, set: row });
      this.seen = row.revision;
    }
  }
}
