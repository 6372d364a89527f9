import type { CanActivate, ModuleMetadata, Type } from '@nestjs/common';
import { InvalidOptionsError } from '../../core/errors.js';
import { decoratorsRow, guardsRow, importsRow } from '../../core/controller-rows.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { propertyOf } from '../../core/property.js';

/** Who may come in, wherever routes of ours are mounted. @publicApi */
export interface AccessOptions {
  /**
   * Guards in front of every route: classes or instances, as in `@UseGuards()`. What classes need, `imports` brings.
   */
  readonly guards?: readonly (Type<CanActivate> | CanActivate)[];
  /**
   * Says that no guard is needed here: because a global one stands in front of everything, or nobody else can reach the
   * port. Default false, and then `guards` must name one.
   */
  readonly public?: boolean;
  /** Further decorators for the controller: what a global guard reads, such as `Roles('admin')`. */
  readonly decorators?: readonly ClassDecorator[];
  /** Modules that export what the guards need. */
  readonly imports?: ModuleMetadata['imports'];
}

/** Options of `ResilienceAdminModule.register()`. @publicApi */
export interface ResilienceAdminOptions extends AccessOptions {
  /** Where the routes are mounted. Default `resilience`. */
  readonly path?: string;
  /** Whether changes are refused with 403. Default false. */
  readonly readOnly?: boolean;
  /**
   * Who sends a request, for events and reasons. Default: `name`, `id` or `sub` of `request.user`, or `unknown`.
   */
  readonly user?: (request: unknown) => string | undefined;
  /** Streams of events that are open at the same time, at most; one more is answered with 503. Default 50. */
  readonly maxStreams?: number;
}

/** The options as they are used. */
export interface AdminSettings {
  readonly path: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
  readonly decorators: readonly ClassDecorator[];
  readonly readOnly: boolean;
  readonly user: (request: unknown) => string | undefined;
  readonly maxStreams: number;
}

/** The rows that every module of ours has that mounts routes which are not for everybody. */
export const accessRows = [
  guardsRow,
  {
    name: 'public',
    kind: 'boolean',
    default: false,
    sentence: 'Says that no guard is needed here. Without it, `guards` must name one.',
  },
  decoratorsRow('Roles("admin")'),
  importsRow,
] as const;

/** The options of the admin module, for validation and documentation. */
export const adminTable = defineOptions<ResilienceAdminOptions, AdminSettings>(
  { name: 'path', kind: 'string', default: 'resilience', sentence: 'Where the routes are mounted.' },
  ...accessRows,
  { name: 'readOnly', kind: 'boolean', default: false, sentence: 'Whether changes are refused with 403.' },
  {
    name: 'user',
    kind: 'function',
    default: userOf,
    defaultText: '`name`, `id` or `sub` of `request.user`',
    sentence: 'Who sends a request, for events and reasons.',
  },
  {
    name: 'maxStreams',
    kind: 'integer',
    min: 1,
    default: 50,
    sentence: 'Streams of events that are open at the same time, at most.',
  },
);

/** @throws {@link InvalidOptionsError} */
export function adminSettings(options: ResilienceAdminOptions): AdminSettings {
  const where = 'ResilienceAdminModule.register';
  refuseProblems(checkOptions(adminTable, options, where));
  refuseOpenDoor(options, where, 'Whoever reaches these routes can open circuits and start faults');
  return resolveOptions(adminTable, options);
}

/**
 * A door without a lock is opened on purpose or not at all.
 *
 * @throws {@link InvalidOptionsError}
 */
export function refuseOpenDoor(
  { guards = [], public: open = false }: AccessOptions,
  where: string,
  risk: string,
): void {
  if (open || guards.length > 0) return;
  const message = `${risk}: give "guards", or say "public: true" where a global guard or the network keeps others out.`;
  throw new InvalidOptionsError([{ where, option: 'guards', message }]);
}

function userOf(request: unknown): string | undefined {
  const user = propertyOf(request, 'user');
  for (const name of ['name', 'id', 'sub']) {
    const known = propertyOf(user, name);
    if (typeof known === 'number') return String(known);
    if (typeof known === 'string' && known !== '') return known;
  }
  return undefined;
}
