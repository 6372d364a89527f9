import { Logger, type Provider } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { resolveOptions } from '../core/option-table.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { drainingTable } from '../draining/draining.options.js';
import { DrainingService } from '../draining/draining.service.js';
import { hasOnDrain, type DrainHook } from '../draining/on-drain.js';
import { scanProviders } from './class-scan.js';
import { bodyOf, retryAfterSeconds } from './error-translation.js';
import type { ResilienceModuleOptions } from './resilience.options.js';
import type { ResilienceRuntime } from './resilience.runtime.js';

/** The application's {@link DrainingService}. It is made after the runtime, which has checked the options. */
export function drainingProvider(optionsToken: symbol): Provider {
  return {
    provide: DrainingService,
    inject: [optionsToken, RUNTIME_TOKEN, ModulesContainer, HttpAdapterHost],
    useFactory: (
      options: ResilienceModuleOptions,
      { clock, events }: ResilienceRuntime,
      modules: ModulesContainer,
      host: HttpAdapterHost,
    ) =>
      new DrainingService(resolveOptions(drainingTable, options.draining), {
        clock,
        events,
        host,
        hooks: () => hooksOf(modules),
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
