import { sharedState } from '../core/identity.js';
import { refuseStandardDecorator } from '../decorators/standard-decorator.js';
import type { ProbeOptions } from './probe.options.js';

/** A method that checks something. */
export interface DeclaredProbe {
  readonly key: string | symbol;
  readonly options: ProbeOptions;
}

const declared = sharedState('health-probes', () => new WeakMap<object, DeclaredProbe[]>());

/**
 * Makes a provider's method a health probe: it is run in the background on its interval, gets an `AbortSignal` that ends
 * with its timeout, and passes unless it throws or answers `false`; an object that it returns is shown as details.
 *
 * @example
 * @HealthProbe({ kind: 'deep', name: 'database', maxLatency: '250ms' })
 * async ping(): Promise<void> { await this.db.query('SELECT 1'); }
 *
 * @publicApi
 */
export function HealthProbe(options: ProbeOptions): MethodDecorator {
  return (target, key, descriptor) => {
    refuseStandardDecorator('@HealthProbe', key);
    if (typeof target === 'function' || typeof descriptor?.value !== 'function') {
      throw new TypeError(`@HealthProbe on ${probeName(target, key)}: it belongs on an instance method.`);
    }
    const probes = declared.get(target) ?? [];
    probes.push({ key, options });
    declared.set(target, probes);
  };
}

/** What a probe is called that has no name of its own: by the class that is in use, and not the one that declares it. */
export function probeName(instance: object, key: string | symbol): string {
  return `${instance.constructor.name}.${String(key)}`;
}

/** The probes that a class declares, its base classes' included; a method that was overridden counts once. */
export function probesOf(prototype: object | null): DeclaredProbe[] {
  const byKey = new Map<string | symbol, DeclaredProbe>();
  for (let link = prototype; link !== null; link = Object.getPrototypeOf(link) as object | null) {
    for (const probe of declared.get(link) ?? []) if (!byKey.has(probe.key)) byKey.set(probe.key, probe);
  }
  return [...byKey.values()];
}
