import { randomBytes } from 'node:crypto';

/** What the sample can be told by its environment. */
export interface Settings {
  readonly port: number;
  readonly platform: 'express' | 'fastify';
  /** How long traffic is still served after readiness has turned down. */
  readonly readinessDelay: string;
  /** Where the embedded database lives; `memory` leaves nothing behind. */
  readonly dataDir: string;
  /** A PostgreSQL server in place of the embedded one. */
  readonly databaseUrl: string | undefined;
  /** A replica of the database to read from: a PostgreSQL server, or `embedded`. */
  readonly replicaUrl: string | undefined;
  /** Redis or Valkey: the cache, and what instances share. */
  readonly redisUrl: string | undefined;
  /** Whether the policies apply at all; `off` shows what happens without them. */
  readonly resilience: boolean;
  /** What operators show. */
  readonly adminToken: string;
  /** Whether nobody gave one, so that it is another one at each start. */
  readonly isTokenRandom: boolean;
}

/**
 * The settings of an environment.
 *
 * @throws Error naming every variable that cannot be, and what it may be.
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const problems: string[] = [];

  function text(name: string): string | undefined {
    const value = environment[name]?.trim();
    return value === '' ? undefined : value;
  }

  function oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    const value = text(name) ?? otherwise;
    const found = values.find((each) => each === value);
    if (found === undefined) problems.push(`${name} must be ${quoted(values)}, got "${value}".`);
    return found ?? otherwise;
  }

  function url(name: string, schemes: readonly string[], word?: string): string | undefined {
    const value = text(name);
    if (value === undefined || value === word) return value;
    const scheme = URL.canParse(value) ? new URL(value).protocol.slice(0, -1) : undefined;
    if (scheme === undefined || !schemes.includes(scheme)) {
      const forms = schemes.map((each) => `${each}://…`);
      problems.push(
        `${name} must be ${quoted(word === undefined ? forms : [...forms, word])}, got "${value}".`,
      );
    }
    return value;
  }

  const port = Number(text('PORT') ?? 3000);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    problems.push(`PORT must be a number from 0 to 65535, got "${text('PORT')}".`);
  const postgres = ['postgres', 'postgresql'];
  const settings: Settings = {
    port,
    platform: oneOf('HTTP_ADAPTER', ['express', 'fastify'], 'express'),
    readinessDelay: text('READINESS_DELAY') ?? '1s',
    dataDir: text('DATA_DIR') ?? '.tmp/sample-data',
    databaseUrl: url('DATABASE_URL', postgres),
    replicaUrl: url('REPLICA_URL', postgres, 'embedded'),
    redisUrl: url('REDIS_URL', ['redis', 'rediss']),
    resilience: oneOf('RESILIENCE', ['on', 'off'], 'on') === 'on',
    adminToken: text('ADMIN_TOKEN') ?? randomBytes(18).toString('base64url'),
    isTokenRandom: text('ADMIN_TOKEN') === undefined,
  };
  if (settings.replicaUrl === 'embedded' && settings.databaseUrl !== undefined) {
    problems.push(
      'REPLICA_URL must be the URL of a PostgreSQL server where DATABASE_URL is one: the embedded replica follows the embedded database only.',
    );
  }
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return settings;
}

function quoted(values: readonly string[]): string {
  return values.map((each) => `"${each}"`).join(' or ');
}
