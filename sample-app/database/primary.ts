import type { Connection, Queries } from './connection.js';
import { migrate } from './migrate.js';
import { seed } from './seed.js';

/** The database that routes are written to. It can be stopped and started, so that its death can be watched. */
export class Primary<C extends Connection = Connection> {
  private connection: C | undefined;
  private starting: Promise<void> | undefined;

  constructor(private readonly open: () => Promise<C> | C) {}

  /** @throws Error while it is stopped, as a server that is gone would. */
  get db(): Queries {
    return this.connected.db;
  }

  get connected(): C {
    if (this.connection === undefined) throw new Error('The database is stopped.');
    return this.connection;
  }

  get isRunning(): boolean {
    return this.connection !== undefined;
  }

  /** Brings schema and seeds along. Who asks while it starts waits for the same start. */
  start(): Promise<void> {
    this.starting ??= this.connect().finally(() => {
      this.starting = undefined;
    });
    return this.starting;
  }

  async stop(): Promise<void> {
    const { connection } = this;
    this.connection = undefined;
    await connection?.close();
  }

  private async connect(): Promise<void> {
    if (this.connection !== undefined) return;
    const connection = await this.open();
    try {
      await migrate(connection);
      await seed(connection);
    } catch (error) {
      await connection.close();
      throw new Error(`${connection.name} cannot be used.`, { cause: error });
    }
    this.connection = connection;
  }
}
