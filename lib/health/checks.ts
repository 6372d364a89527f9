import { statfs } from 'node:fs/promises';
import { connect } from 'node:net';
import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { HealthIndicatorResult } from '@nestjs/terminus';
import { parseDuration, formatDuration, type Duration } from '../core/duration.js';
import { describeValue } from '../core/option-form.js';
import { LoopDelay } from './loop-delay.js';
import type { ProbeCheck } from './probe.js';

/** A check that says what it found. */
type ReadyCheck = (signal: AbortSignal) => Promise<object>;

/**
 * Whether the event loop has been free: fails where it was blocked for longer than `max` in the last 10 to 20 seconds.
 * It measures from the first check to `stop()`, which `ResilienceHealthModule` calls when the application closes.
 *
 * @param max - Default 1 s.
 *
 * @example
 * ResilienceHealthModule.register({ probes: [{ kind: 'liveness', name: 'loop', check: eventLoopCheck('2s') }] })
 *
 * @publicApi
 */
export function eventLoopCheck(max: Duration = '1s'): ReadyCheck & { stop(): void } {
  const maxMs = durationOf('eventLoopCheck', max);
  let delay: LoopDelay | undefined;
  const check = async () => {
    // Measured from the first check on, so that a check that nobody runs costs nothing.
    delay ??= new LoopDelay();
    const eventLoopDelayMs = Math.round(delay.worstMs());
    if (eventLoopDelayMs > maxMs) {
      throw new Error(`The event loop was blocked for ${formatDuration(eventLoopDelayMs)}.`);
    }
    return { eventLoopDelayMs };
  };
  const stop = () => {
    delay?.stop();
    delay = undefined;
  };
  return Object.assign(check, { stop });
}

/**
 * Whether there is room on the heap: fails where more than `maxPercent` of V8's limit is in use.
 *
 * @param maxPercent - 0 to 100. Default 90.
 *
 * @publicApi
 */
export function heapCheck(maxPercent = 90): ProbeCheck {
  percentOf('heapCheck', maxPercent);
  return async () => {
    const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
    const heapPercent = Math.round((used * 1_000) / limit) / 10;
    if (heapPercent > maxPercent) throw new Error(`${heapPercent} % of the heap are in use.`);
    return { heapPercent };
  };
}

/**
 * Whether there is room on the disk: fails where less than `minFreePercent` of the file system is free for us.
 *
 * @param path - Anything on the file system in question. Default `/`.
 * @param minFreePercent - 0 to 100. Default 10.
 *
 * @publicApi
 */
export function diskCheck(path = '/', minFreePercent = 10): ProbeCheck {
  percentOf('diskCheck', minFreePercent);
  return async () => {
    const { bavail, blocks } = await statfs(path);
    const freePercent = blocks === 0 ? 0 : Math.round((bavail * 1_000) / blocks) / 10;
    if (freePercent < minFreePercent) throw new Error(`${freePercent} % of the disk at ${path} are free.`);
    return { freePercent };
  };
}

/**
 * Whether somebody listens: connects over TCP and hangs up.
 *
 * @param host - Default `127.0.0.1`: the application's own port.
 *
 * @publicApi
 */
export function portCheck(port: number, host = '127.0.0.1'): ReadyCheck {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new TypeError(`portCheck: a port must be an integer from 1 to 65535, got ${describeValue(port)}.`);
  }
  return (signal) =>
    new Promise((resolve, reject) => {
      const socket = connect({ port, host, signal });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.destroy();
        resolve({ host, port });
      });
    });
}

/**
 * Whether a URL answers: fails unless the status is 2xx, or the one that `expectStatus` names.
 *
 * @publicApi
 */
export function httpCheck(
  url: string | URL,
  options: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly expectStatus?: number;
  } = {},
): ReadyCheck {
  const { method = 'GET', headers = {}, expectStatus } = options;
  const target = new URL(url);
  return async (signal) => {
    const response = await fetch(target, { method, headers, signal, redirect: 'manual' });
    await response.body?.cancel();
    const { status } = response;
    const fine = expectStatus === undefined ? response.ok : status === expectStatus;
    if (!fine) throw new Error(`${target.origin} answered ${status}.`);
    return { httpStatus: status };
  };
}

/** Runs a line of SQL: a `Pool` or `Client` of pg, PGlite, a `DataSource` of TypeORM, a pool of mysql2. @publicApi */
export interface SqlRunner {
  query(sql: string): unknown;
}

/**
 * Whether a database answers `SELECT 1`.
 *
 * @param database - What has `query(sql)`, or a function that runs the line it is given (for Prisma:
 * ``() => prisma.$queryRaw`SELECT 1` ``).
 *
 * @publicApi
 */
export function sqlCheck(database: SqlRunner | ((sql: string) => unknown), sql = 'SELECT 1'): ReadyCheck {
  return async () => {
    const startedAt = performance.now();
    await (typeof database === 'function' ? database(sql) : database.query(sql));
    return { queryMs: Math.round(performance.now() - startedAt) };
  };
}

/** A client of `ioredis` or `redis`. @publicApi */
export interface RedisPinger {
  ping(): unknown;
}

/** Whether Redis or Valkey answers `PING`. @publicApi */
export function redisCheck(client: RedisPinger): ReadyCheck {
  return async () => {
    const startedAt = performance.now();
    const answer = await client.ping();
    if (answer !== 'PONG') throw new Error(`PING was answered with ${describeValue(answer)}.`);
    return { pingMs: Math.round(performance.now() - startedAt) };
  };
}

/**
 * What an indicator of Terminus finds, for a probe: it then runs in the background and has grace.
 *
 * @example
 * @HealthProbe({ kind: 'readiness', name: 'disk' })
 * checkDisk(): Promise<object> {
 *   return terminusCheck(() => this.disk.checkStorage('disk', { path: '/', thresholdPercent: 0.9 }));
 * }
 *
 * @publicApi
 */
export async function terminusCheck(
  indicator: () => HealthIndicatorResult | PromiseLike<HealthIndicatorResult>,
): Promise<object> {
  const result = await indicator();
  const failed = Object.entries(result).find(([, { status }]) => status === 'down');
  if (failed === undefined) return result;
  const [name, { message }] = failed as [string, { message?: unknown }];
  throw new Error(typeof message === 'string' ? message : `${name} is down.`);
}

function durationOf(where: string, value: Duration): number {
  const ms = parseDuration(value);
  if (ms === undefined || ms === 0) {
    throw new TypeError(`${where}: it takes a duration above 0, got ${describeValue(value)}.`);
  }
  return ms;
}

function percentOf(where: string, value: number): void {
  if (!(value >= 0 && value <= 100)) {
    throw new TypeError(`${where}: it takes a percentage from 0 to 100, got ${describeValue(value)}.`);
  }
}
