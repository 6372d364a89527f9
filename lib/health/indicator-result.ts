import type { HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';

/** What an indicator has to say. `degraded` works, but not as it should. */
export type IndicatedStatus = 'up' | 'degraded' | 'down';

/** Says it in Terminus' words. Terminus 11 knows no `degraded`: there it is `up`, with a field that says so. */
export function indicate(
  service: HealthIndicatorService,
  key: string,
  status: IndicatedStatus,
  details: object,
): HealthIndicatorResult {
  const session = service.check(key);
  const data = jsonReady(details);
  if (status === 'up') return session.up(data);
  if (status === 'down') return session.down(data);
  const { degraded } = session as { degraded?: (data: object) => HealthIndicatorResult };
  return degraded === undefined ? session.up({ ...data, degraded: true }) : degraded.call(session, data);
}

/** For numbers of our own, which are plain: one that nobody knows yet is `null` in JSON, and not missing. */
export function jsonReady(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([key, field]: [string, unknown]) => {
      if (field === undefined) return [key, null];
      if (typeof field === 'number' && !Number.isFinite(field)) return [key, null];
      if (typeof field === 'object' && field !== null && !Array.isArray(field))
        return [key, jsonReady(field)];
      return [key, field];
    }),
  );
}
