import type { INestApplicationContext } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { OperatorRoutes } from './application.js';

/** By name: an application may have loaded another copy of the package. */
const OPERATOR_MODULES = ['ResilienceAdminModule', 'ResilienceDashboardModule'];
/** Guards that keep nobody out for who he is. */
const NO_DOORKEEPERS = ['SameOriginGuard', 'RateLimitGuard', 'ThrottlerGuard'];

/** The routes that open circuits, or lead there, and whether a guard is in front of them. */
export function operatorRoutesOf(app: INestApplicationContext, modules: ModulesContainer): OperatorRoutes[] {
  const isGuardedGlobally = [...globalGuards(app, modules)].some(keepsOut);
  return [...modules.values()]
    .filter(({ metatype }) => OPERATOR_MODULES.includes(metatype.name))
    .flatMap(({ metatype, controllers }) =>
      [...controllers.values()].map(({ metatype: controller }) => {
        const target = controller as object;
        const guards = (Reflect.getMetadata('__guards__', target) as unknown[] | undefined) ?? [];
        return {
          module: metatype.name,
          path: `/${String(Reflect.getMetadata('path', target)).replace(/^\/+/, '')}`,
          isGuarded: isGuardedGlobally || guards.some(keepsOut),
        };
      }),
    );
}

/** Those of `APP_GUARD`, and of `app.useGlobalGuards()` where that has been called. */
function* globalGuards(app: INestApplicationContext, modules: ModulesContainer): Generator<unknown> {
  for (const { providers } of modules.values()) {
    for (const { subtype, metatype, inject, instance } of providers.values())
      if (subtype === 'guard') yield Array.isArray(inject) || metatype === null ? instance : metatype;
  }
  const { config } = app as { readonly config?: { getGlobalGuards?(): readonly unknown[] } };
  yield* config?.getGlobalGuards?.() ?? [];
}

/** Whether a guard, a class or an instance, may be there to tell who comes. */
function keepsOut(guard: unknown): boolean {
  const type: unknown = typeof guard === 'function' ? guard : (guard as object | null)?.constructor;
  return !namesOf(type).some((name) => NO_DOORKEEPERS.includes(name));
}

/** Of a class and of all that it extends. */
function namesOf(type: unknown): string[] {
  if (typeof type !== 'function') return [];
  return [type.name, ...namesOf(Object.getPrototypeOf(type))];
}
