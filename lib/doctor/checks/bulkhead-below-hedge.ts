import { placed, type Application } from '../application.js';
import type { Finding } from '../finding.js';

/** A bulkhead inside a hedge that has no slots for the attempts of even one call: hedges wait for what they should beat. */
export function bulkheadBelowHedge(application: Application): Finding[] {
  return application.protected.flatMap((code) =>
    placed(code, 'hedge').flatMap((hedge) =>
      placed(code, 'bulkhead').flatMap((bulkhead): Finding[] => {
        const { maxConcurrent } = bulkhead.policy.configuration;
        const needed = 1 + hedge.policy.configuration.maxHedges;
        if (bulkhead.depth < hedge.depth || maxConcurrent >= needed) return [];
        return [
          {
            code: 'bulkhead-below-hedge',
            severity: 'warning',
            where: code.name,
            message: `One call of hedge "${hedge.policy.name}" runs up to ${needed} attempts at once, and bulkhead "${bulkhead.policy.name}" inside it lets ${maxConcurrent} run: a hedge waits for the very attempt that it should beat.`,
            advice: `Give the bulkhead at least ${needed} slots for each call that shall run at once, or put it outside with "order: ['bulkhead', 'hedge']".`,
          },
        ];
      }),
    ),
  );
}
