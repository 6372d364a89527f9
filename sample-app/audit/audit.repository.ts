import { Injectable } from '@nestjs/common';
import { and, asc, desc, gte, inArray, lt, type SQL } from 'drizzle-orm';
import { Primary } from '../database/primary.js';
import { auditLog, auditOutbox } from '../database/schema.js';
import type { AuditEntry } from './audit-entry.js';

const BATCH = 500;

/** The audit log in the database. */
@Injectable()
export class AuditRepository {
  constructor(private readonly primary: Primary) {}

  /** The newest entries that a condition holds for, newest first. */
  find(condition: SQL | undefined, limit: number): Promise<AuditEntry[]> {
    return this.primary.db.select().from(auditLog).where(condition).orderBy(desc(auditLog.at)).limit(limit);
  }

  between(start: Date, end: Date, limit: number): Promise<AuditEntry[]> {
    return this.find(and(gte(auditLog.at, start), lt(auditLog.at, end)), limit);
  }

  /** Moves what waits in the outbox into the log, each entry once; how many there were. */
  async moveOutbox(): Promise<number> {
    return this.primary.db.transaction(async (transaction) => {
      const entries = await transaction
        .select()
        .from(auditOutbox)
        .orderBy(asc(auditOutbox.at))
        .limit(BATCH)
        .for('update', { skipLocked: true });
      if (entries.length === 0) return 0;
      await transaction.insert(auditLog).values(entries).onConflictDoNothing();
      await transaction.delete(auditOutbox).where(
        inArray(
          auditOutbox.id,
          entries.map(({ id }) => id),
        ),
      );
      return entries.length;
    });
  }
}
