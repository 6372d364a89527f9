import type { Type } from '@nestjs/common';
import { HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { problemsThrownBy, refuseProblems, resolveOptions } from '../core/option-table.js';
import { recordsOf } from '../decorators/method-record.js';
import { RUNTIME_KEY, bindingOf, setBinding } from '../decorators/runtime.js';
import { drainingTable } from '../draining/draining.options.js';
import { DrainingService } from '../draining/index.js';
import { ResilienceService, type ResilienceModuleOptions } from '../module/index.js';
import { ResilienceRuntime } from '../module/resilience.runtime.js';
import { ManualClock } from './manual-clock.js';
import { seededRandom } from './seeded-random.js';

/** An instance whose decorators hold, without an application around it. @publicApi */
export interface BoundInstance<T> {
  readonly instance: T;
  /** The time of its policies. */
  readonly clock: ManualClock;
  /** Its policies, by name. */
  readonly resilience: ResilienceService;
  /** Takes the policies off again. */
  release(): void;
}

/**
 * Makes the decorators of an instance hold that a test made with `new`.
 *
 * @param options - What `ResilienceModule.forRoot` takes. Time stands still until the test advances `clock`.
 * @throws TypeError where the instance has no decorated method, or is bound already.
 * @throws `InvalidOptionsError` with everything that is wrong in its decorators.
 *
 * @example
 * const { instance, clock } = bindResilience(new PaymentsService(gateway));
 *
 * @publicApi
 */
export function bindResilience<T extends object>(
  instance: T,
  options: Omit<ResilienceModuleOptions, 'clock'> & { readonly clock?: ManualClock } = {},
): BoundInstance<T> {
  const name = instance.constructor.name;
  const records = recordsOf(Object.getPrototypeOf(instance) as object);
  if (records.length === 0) {
    throw new TypeError(`bindResilience: ${name} has no method with a decorator of this package.`);
  }
  if (bindingOf(instance) !== undefined) {
    throw new TypeError(`bindResilience: this instance of ${name} is bound already; release it first.`);
  }
  const { clock = new ManualClock() } = options;
  const nobody = { isHeadersSent: () => true, setHeader: () => undefined };
  const runtime = new ResilienceRuntime(
    { random: seededRandom(1), ...options, clock },
    new ModulesContainer(),
    nobody,
  );
  const binding = runtime.bind(instance.constructor as Type);
  // All at once, as when an application starts: a policy can be found before the first call.
  refuseProblems(records.flatMap((record) => problemsThrownBy(() => runtime.compiled(binding, record))));
  for (const record of records) binding.compile(record);
  setBinding(instance, runtime);
  const draining = new DrainingService(resolveOptions(drainingTable, {}), {
    clock,
    events: runtime.events,
    host: new HttpAdapterHost(),
    hooks: () => [],
    frame: () => ({ globalPrefix: '', version: undefined, modulePaths: () => [] }),
    refusal: () => ({ status: 503, retryAfter: '1', body: {} }),
  });
  return {
    instance,
    clock,
    resilience: new ResilienceService(runtime, draining),
    release: () => {
      delete (instance as { [RUNTIME_KEY]?: unknown })[RUNTIME_KEY];
    },
  };
}
