import type { OptionProblem } from '../core/errors.js';
import { defineOptions } from '../core/option-table.js';
import type { ChaosEnvironment, ChaosMonkeyOptions } from '../policies/chaos/index.js';
import { monkeyProblems, monkeyTable } from '../policies/chaos/monkey.js';

/** What the module says of chaos. @publicApi */
export interface ChaosModuleOptions {
  /** Says that chaos may run with `NODE_ENV=production`, if `RESILIENCE_CHAOS=allow` says so too. Default false. */
  readonly allowInProduction?: boolean;
  /** The chaos monkey, which comes once the application has started. Off by default. */
  readonly monkey?: ChaosMonkeyOptions;
}

export const chaosModuleTable = defineOptions<ChaosModuleOptions>(
  {
    name: 'allowInProduction',
    kind: 'boolean',
    default: false,
    sentence: 'Says that chaos may run with `NODE_ENV=production`, if `RESILIENCE_CHAOS=allow` says so too.',
  },
  { name: 'monkey', kind: 'object', fields: monkeyTable, default: {}, sentence: 'The chaos monkey.' },
);

/** What is wrong with the chaos monkey, beyond its table: among its options, and where it is to run. */
export function chaosModuleProblems(
  options: ChaosModuleOptions | undefined,
  where: string,
  environment: ChaosEnvironment,
): OptionProblem[] {
  return monkeyProblems(options?.monkey ?? {}, where, environment).map((problem) => ({
    ...problem,
    option: `chaos.monkey.${problem.option}`,
  }));
}
