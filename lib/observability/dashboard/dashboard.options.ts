import type { CanActivate, Type } from '@nestjs/common';
import { InvalidOptionsError } from '../../core/errors.js';
import { checkOptions, defineOptions, refuseProblems, resolveOptions } from '../../core/option-table.js';
import { accessRows, refuseOpenDoor, type AccessOptions } from '../admin/admin.options.js';

/** Options of `ResilienceDashboardModule.register()`. @publicApi */
export interface ResilienceDashboardOptions extends AccessOptions {
  /** Where the page is mounted. Default `resilience-dashboard`. It must not lie below `adminPath`. */
  readonly path?: string;
  /** The `path` of `ResilienceAdminModule`, where the page gets its numbers. Default `resilience`. */
  readonly adminPath?: string;
  /** What the page is called, such as the application's name. Default `Resilience`. */
  readonly title?: string;
}

/** The options as they are used. */
export interface DashboardSettings {
  /** Without slashes at its ends, as `adminPath`. */
  readonly path: string;
  readonly adminPath: string;
  readonly title: string;
  readonly guards: readonly (Type<CanActivate> | CanActivate)[];
  readonly decorators: readonly ClassDecorator[];
}

/** The options of the dashboard, for validation and documentation. */
export const dashboardTable = defineOptions<ResilienceDashboardOptions, DashboardSettings>(
  {
    name: 'path',
    kind: 'string',
    default: 'resilience-dashboard',
    sentence: 'Where the page is mounted; not below `adminPath`.',
  },
  {
    name: 'adminPath',
    kind: 'string',
    default: 'resilience',
    sentence: 'The `path` of `ResilienceAdminModule`, where the page gets its numbers.',
  },
  { name: 'title', kind: 'string', default: 'Resilience', sentence: 'What the page is called.' },
  ...accessRows,
);

/** @throws `InvalidOptionsError` */
export function dashboardSettings(options: ResilienceDashboardOptions): DashboardSettings {
  const where = 'ResilienceDashboardModule.register';
  refuseProblems(checkOptions(dashboardTable, options, where));
  refuseOpenDoor(options, where, 'Whoever reaches this page sees how the application is built');
  const settings = resolveOptions(dashboardTable, options);
  const [path, adminPath] = [trimmed(settings.path), trimmed(settings.adminPath)];
  if (`${path}/`.startsWith(`${adminPath}/`)) {
    const message = `"path" must not lie below "adminPath", got "${path}" below "${adminPath}": there it would be the name of a policy.`;
    throw new InvalidOptionsError([{ where, option: 'path', message }]);
  }
  return { ...settings, path, adminPath };
}

function trimmed(path: string): string {
  return path.replace(/^\/+|\/+$/g, '');
}
