import type { OptionProblem } from '../core/errors.js';
import { propertyOf } from '../core/property.js';
import type { PolicyRequest } from '../decorators/method-record.js';
import type { MethodPlan } from './method-plan.js';
import type { PolicyRegistry } from './policy-registry.js';

/**
 * Names that were made up for shared policies. Two of one name are told apart by which was made first, which other
 * instances do not know: theirs would share with the wrong one.
 */
export class SharedNames {
  private readonly owners = new Map<string, readonly unknown[]>();

  constructor(private readonly policies: PolicyRegistry) {}

  /** What is wrong with the names of a plan; those that are not are `owner`'s, which is the same each time it is asked for. */
  problems(plan: MethodPlan, owner: readonly unknown[]): OptionProblem[] {
    const seen = new Set<string>();
    return plan.requests.flatMap((request): OptionProblem[] => {
      if (!this.isShared(request)) return [];
      const id = `${request.kind}:${plan.name}`;
      const other = this.owners.get(id);
      const isTaken = seen.has(id) || (other !== undefined && !isSame(other, owner));
      seen.add(id);
      if (!isTaken) {
        this.owners.set(id, owner);
        return [];
      }
      const message = `It is shared, and "${plan.name}" is what another one would be called too, so that instances could take one for the other: give each a name.`;
      return [{ where: `${request.decorator} on ${plan.name}`, option: 'name', message }];
    });
  }

  /** Whether there is anybody to share with. */
  get matter(): boolean {
    return this.policies.environment.fleet !== undefined;
  }

  /** For what may come to be. */
  copy(): SharedNames {
    const copy = new SharedNames(this.policies);
    for (const [id, owner] of this.owners) copy.owners.set(id, owner);
    return copy;
  }

  private isShared({ kind, name, options, instance }: PolicyRequest): boolean {
    if (!this.matter || name !== undefined || instance !== undefined) return false;
    const given = this.policies.optionsOf(kind, undefined, options);
    const levels: unknown = propertyOf(given, 'levels');
    const parts: unknown[] = Array.isArray(levels) ? levels : [given];
    return parts.some((part) => Boolean(propertyOf(part, 'shared')));
  }
}

function isSame(one: readonly unknown[], other: readonly unknown[]): boolean {
  return one.length === other.length && one.every((part, index) => part === other[index]);
}
