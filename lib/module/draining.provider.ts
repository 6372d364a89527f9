import { Logger, VersioningType, type Provider } from '@nestjs/common';
import { ApplicationConfig, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { resolveOptions } from '../core/option-table.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { drainingTable } from '../draining/draining.options.js';
import { DrainingService } from '../draining/draining.service.js';
import { hasOnDrain, type DrainHook } from '../draining/on-drain.js';
import type { RouteFrame } from '../draining/served-paths.js';
import { scanProviders } from './class-scan.js';
import { bodyOf, retryAfterSeconds } from './error-translation.js';
import type { ResilienceModuleOptions } from './resilience.options.js';
import type { ResilienceRuntime } from './resilience.runtime.js';

/** Under these keys Nest notes where routes are. */
const MODULE_PATH = '__module_path__';
const CONTROLLER_PATH = 'path';

/** The application's {@link DrainingService}. It is made after the runtime, which has checked the options. */
export function drainingProvider(optionsToken: symbol): Provider {
  return {
    provide: DrainingService,
    inject: [optionsToken, RUNTIME_TOKEN, ModulesContainer, HttpAdapterHost, ApplicationConfig],
    useFactory: (
      options: ResilienceModuleOptions,
      { clock, events }: ResilienceRuntime,
      modules: ModulesContainer,
      host: HttpAdapterHost,
      config: ApplicationConfig,
    ) =>
      new DrainingService(resolveOptions(drainingTable, options.draining), {
        clock,
        events,
        host,
        hooks: () => hooksOf(modules),
        frame: () => frameOf(config, modules),
        refusal: (error) => {
          const body = bodyOf(error);
          return {
            status: body.statusCode,
            retryAfter: retryAfterSeconds(error.retryAfterMs as number),
            body,
          };
        },
      }),
  };
}

/** The `onDrain` methods of the application, each once. */
function hooksOf(modules: ModulesContainer): DrainHook[] {
  const hooks = new Map<unknown, DrainHook>();
  for (const { instance, isSingle, metatype } of scanProviders(modules)) {
    if (isSingle) {
      if (!hasOnDrain(instance)) continue;
      const name = `${instance.constructor.name}.onDrain`;
      hooks.set(instance, { name, run: () => instance.onDrain() });
    } else if (typeof metatype === 'function' && hasOnDrain(metatype.prototype)) {
      const logger = new Logger(DrainingService.name);
      logger.warn(
        `${metatype.name}.onDrain is not called: it needs a provider with one instance, and this one has one per request or per use.`,
      );
    }
  }
  return [...hooks.values()];
}

/** Under what paths the application's controllers are. */
function frameOf(config: ApplicationConfig, modules: ModulesContainer): RouteFrame {
  const versioning = config.getVersioning();
  return {
    globalPrefix: config.getGlobalPrefix(),
    version:
      versioning?.type === VersioningType.URI
        ? {
            prefix: versioning.prefix === false ? '' : (versioning.prefix ?? 'v'),
            names: [versioning.defaultVersion ?? []].flat().filter((version) => typeof version === 'string'),
          }
        : undefined,
    modulePaths: (served) => modulePathsOf(modules, served),
  };
}

/** The paths that `RouterModule` gave to the modules of such controllers. */
function modulePathsOf(modules: ModulesContainer, served: readonly string[]): string[] {
  const paths = new Set<string>();
  for (const { metatype, controllers } of modules.values()) {
    const path: unknown = Reflect.getMetadata(`${MODULE_PATH}${modules.applicationId}`, metatype);
    if (typeof path !== 'string') continue;
    const own = [...controllers.values()].flatMap(({ metatype: controller }) =>
      typeof controller === 'function' ? [Reflect.getMetadata(CONTROLLER_PATH, controller)].flat() : [],
    );
    const serves = own
      .map((each) =>
        String(each)
          .replace(/^\/+|\/+$/g, '')
          .toLowerCase(),
      )
      .some((each) => served.some((one) => `${one}/`.startsWith(`${each}/`)));
    if (serves) paths.add(path);
  }
  return [...paths];
}
