import { randomUUID } from 'node:crypto';
import type { auditLog } from '../database/schema.js';

export const AUDIT_ACTIONS = ['created', 'activated', 'deactivated'] as const;

export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** What happened to a route, when, and in which request. */
export type AuditEntry = typeof auditLog.$inferSelect;

interface Subject {
  readonly tenant: string;
  readonly service: string;
  readonly env: string;
  readonly version: string;
}

export function auditEntry(
  action: AuditAction,
  { tenant, service, env, version }: Subject,
  correlationId: string,
  details: Readonly<Record<string, string>> = {},
): AuditEntry {
  return {
    id: randomUUID(),
    at: new Date(),
    action,
    tenant,
    service,
    env,
    version,
    correlationId,
    details,
  };
}
