import { Global, Module, type OnModuleDestroy } from '@nestjs/common';
import type { Settings } from '../settings/settings.js';
import { SETTINGS } from '../settings/settings.module.js';
import { openEmbedded } from './embedded.js';
import { Primary } from './primary.js';
import { EmbeddedReplica, noReplica, type Replica } from './replica.js';
import { connectServer } from './server.js';

export const REPLICA = Symbol('replica');

/** Both databases, closed after the last request. */
class Databases implements OnModuleDestroy {
  private constructor(
    readonly primary: Primary,
    readonly replica: Replica,
  ) {}

  static async open({ databaseUrl, replicaUrl, dataDir }: Settings): Promise<Databases> {
    if (databaseUrl !== undefined) {
      const primary = new Primary(() => connectServer(databaseUrl));
      await primary.start();
      return new Databases(primary, replicaUrl === undefined ? noReplica : connectServer(replicaUrl));
    }
    const primary = new Primary(() => openEmbedded(dataDir));
    await primary.start();
    if (replicaUrl === 'embedded') return new Databases(primary, await EmbeddedReplica.of(primary));
    return new Databases(primary, replicaUrl === undefined ? noReplica : connectServer(replicaUrl));
  }

  async onModuleDestroy(): Promise<void> {
    await this.replica.close();
    await this.primary.stop();
  }
}

/** The database of the routes and its replica, by the settings. Schema and first data are there before anybody asks. */
@Global()
@Module({
  providers: [
    { provide: Databases, inject: [SETTINGS], useFactory: (settings: Settings) => Databases.open(settings) },
    { provide: Primary, inject: [Databases], useFactory: ({ primary }: Databases) => primary },
    { provide: REPLICA, inject: [Databases], useFactory: ({ replica }: Databases) => replica },
  ],
  exports: [Primary, REPLICA],
})
export class DatabaseModule {}
