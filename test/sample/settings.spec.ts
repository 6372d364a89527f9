import { describe, expect, it } from '@jest/globals';
import { readSettings } from '../../sample-app/settings/settings.js';

describe('the settings of the sample', () => {
  it('need nothing', () => {
    expect(readSettings({})).toMatchObject({
      port: 3000,
      platform: 'express',
      dataDir: '.tmp/sample-data',
      databaseUrl: undefined,
      redisUrl: undefined,
      resilience: true,
      isTokenRandom: true,
    });
  });

  it('make another token at each start, unless one is given', () => {
    expect(readSettings({}).adminToken).not.toBe(readSettings({}).adminToken);
    expect(readSettings({ ADMIN_TOKEN: 'mine' })).toMatchObject({ adminToken: 'mine', isTokenRandom: false });
  });

  it('name every variable that cannot be, all at once', () => {
    const wrong = {
      PORT: 'http',
      HTTP_ADAPTER: 'koa',
      DATABASE_URL: 'mysql://here',
      REPLICA_URL: 'there',
      REDIS_URL: 'localhost:6379',
      RESILIENCE: 'maybe',
    };

    expect(() => readSettings(wrong)).toThrow(
      [
        'PORT must be a number from 0 to 65535, got "http".',
        'HTTP_ADAPTER must be "express" or "fastify", got "koa".',
        'DATABASE_URL must be "postgres://…" or "postgresql://…", got "mysql://here".',
        'REPLICA_URL must be "postgres://…" or "postgresql://…" or "embedded", got "there".',
        'REDIS_URL must be "redis://…" or "rediss://…", got "localhost:6379".',
        'RESILIENCE must be "on" or "off", got "maybe".',
      ].join('\n'),
    );
  });

  it('refuse an embedded replica of a server', () => {
    const settings = { DATABASE_URL: 'postgres://here/db', REPLICA_URL: 'embedded' };

    expect(() => readSettings(settings)).toThrow(/^REPLICA_URL must be the URL of a PostgreSQL server/);
  });
});
