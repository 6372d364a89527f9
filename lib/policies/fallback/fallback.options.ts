import type { OptionProblem } from '../../core/errors.js';
import type { Matcher } from '../../core/matcher.js';
import { checkOptions, defineOptions } from '../../core/option-table.js';
import { cacheRows, cacheTable, type CacheOptions } from './cache-level.js';

/** The levels of a fallback chain, in the order in which they are tried. @publicApi */
export enum FallbackLevel {
  PRIMARY = 'primary',
  REPLICA = 'replica',
  DISTRIBUTED_CACHE = 'distributed_cache',
  LOCAL_CACHE = 'local_cache',
  BACKUP_SERVICE = 'backup_service',
  DEFAULT = 'default',
}

/** All levels, first to last. */
export const FALLBACK_LEVELS: readonly FallbackLevel[] = Object.values(FallbackLevel);

/**
 * Answers in the place of a method that failed: gets its arguments and, after them, the error. Written as a method, so
 * that parameters may be annotated with the types that are known to arrive.
 *
 * @publicApi
 */
export type FallbackHandler = { answer(...argsAndError: unknown[]): unknown }['answer'];

/** One level of a chain: a function, the name of a method of the class, or a cache. @publicApi */
export interface FallbackStep extends CacheOptions {
  readonly level: FallbackLevel;
  /** What answers. At a cache level it may be left out: the level then fills itself from the answers above it. */
  readonly use?: FallbackHandler | string;
}

/** The levels that can keep answers. */
const CACHE_LEVELS: ReadonlySet<FallbackLevel> = new Set([
  FallbackLevel.DISTRIBUTED_CACHE,
  FallbackLevel.LOCAL_CACHE,
]);

/** Options of a fallback. @publicApi */
export interface FallbackOptions {
  /** What answers: a function, or the name of a method of the class. Runs at level `DEFAULT`. */
  readonly use?: FallbackHandler | string;
  /** Several levels, tried in the order of {@link FallbackLevel}. */
  readonly levels?: readonly FallbackStep[];
  /** The errors that it answers for. Default: all but the caller's own abort. */
  readonly on?: Matcher;
}

/** The options of a fallback, for validation and documentation. */
export const fallbackTable = defineOptions<FallbackOptions>(
  {
    name: 'use',
    kind: 'function',
    or: [{ kind: 'string' }],
    optional: true,
    sentence:
      'What answers: a function of the arguments and the error, or the name of a method of the class.',
  },
  {
    name: 'levels',
    kind: 'list',
    each: {
      kind: 'object',
      fields: defineOptions<FallbackStep>(
        { name: 'level', kind: 'one-of', values: FALLBACK_LEVELS, sentence: 'Which level it is.' },
        {
          name: 'use',
          kind: 'function',
          or: [{ kind: 'string' }],
          optional: true,
          sentence: 'What answers at this level; a cache level without it fills itself.',
        },
        ...cacheRows,
      ),
    },
    optional: true,
    sentence: 'Several levels, tried in the order primary, replica, caches, backup service, default.',
  },
  {
    name: 'on',
    kind: 'matcher',
    optional: true,
    defaultText: "all but the caller's own abort",
    sentence: 'The errors that it answers for.',
  },
);

/** Everything that is wrong with the options, alone and among each other. */
export function fallbackProblems(options: FallbackOptions, where: string): OptionProblem[] {
  const problems = checkOptions(fallbackTable, options, where);
  if (problems.length > 0) return problems;
  const { use: single, levels } = options;
  if ((single === undefined) === (levels === undefined)) {
    problems.push({ where, option: 'use', message: 'Exactly one of "use" and "levels" must be given.' });
  }
  const seen = new Set<FallbackLevel>();
  for (const step of levels ?? []) {
    problems.push(...stepProblems(step, where));
    if (seen.has(step.level))
      problems.push({ where, option: 'levels', message: `Level "${step.level}" is given twice.` });
    seen.add(step.level);
  }
  return problems;
}

/** Everything that is wrong with a cache level by itself. */
export function cacheProblems(level: FallbackLevel, options: CacheOptions, where: string): OptionProblem[] {
  const problems = checkOptions(cacheTable, options, where);
  return problems.length > 0 ? problems : stepProblems({ level, ...options }, where);
}

/** What is wrong with a level whose options are fine one by one. */
function stepProblems({ level, use, store, shared }: FallbackStep, where: string): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const add = (message: string) => problems.push({ where, option: 'levels', message });
  if (use === undefined && !CACHE_LEVELS.has(level)) {
    add(`Level "${level}" needs "use": only cache levels fill themselves.`);
  }
  if (shared === true) problems.push(...sharedProblems({ level, use, store }, where));
  else if (level === FallbackLevel.DISTRIBUTED_CACHE && use === undefined && store === undefined) {
    add(`Level "${level}" needs "use", a "store" or "shared".`);
  }
  return problems;
}

/** Whether some cache level tells questions apart by all of the arguments. */
export function hashesArguments({ levels }: FallbackOptions): boolean {
  if (!Array.isArray(levels)) return false;
  return (levels as FallbackStep[]).some(({ use, key }) => use === undefined && key === undefined);
}

/** What `shared` contradicts. */
function sharedProblems({ level, use, store }: FallbackStep, where: string): OptionProblem[] {
  const problems: OptionProblem[] = [];
  const add = (message: string) => problems.push({ where, option: 'levels', message });
  if (level !== FallbackLevel.DISTRIBUTED_CACHE) {
    add(`"shared" is for level "${FallbackLevel.DISTRIBUTED_CACHE}", not for "${level}".`);
  }
  if (use !== undefined) add(`Level "${level}": "use" and "shared" exclude each other.`);
  if (store !== undefined) add(`Level "${level}": "store" and "shared" exclude each other.`);
  return problems;
}
