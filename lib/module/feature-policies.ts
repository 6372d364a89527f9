import type { OptionProblem } from '../core/errors.js';
import { checkOptions } from '../core/option-table.js';
import { namedPoliciesTable, type NamedPolicies } from './resilience.options.js';

/** What one `forFeature` adds to the application's policies; found by the runtime among the providers. */
export class FeaturePolicies {
  constructor(readonly policies: NamedPolicies) {}

  /** @param where - As errors shall say who added them. */
  problems(where: string): OptionProblem[] {
    return checkOptions(namedPoliciesTable, this.policies, where);
  }
}
