import type { Duration } from '../core/duration.js';
import { defineOptions } from '../core/option-table.js';

/** How the application drains before it closes: `ResilienceModule.forRoot({ draining: { … } })`. @publicApi */
export interface DrainingOptions {
  /** Whether it waits at all before it closes. Default true. */
  readonly enabled?: boolean;
  /**
   * How long traffic is still served after readiness has turned down, so that load balancers can look away. Default 5 s;
   * 0 refuses new work at once.
   */
  readonly readinessDelay?: Duration;
  /** How long work that is under way may take from then on. Default 30 s; what is left is cut off. */
  readonly timeout?: Duration;
  /** After a signal: how long Nest's own closing may take before the process ends without it. Default 10 s. */
  readonly closeTimeout?: Duration;
  /** The signals that {@link enableGracefulShutdown} listens to. Default `SIGTERM` and `SIGINT`. */
  readonly signals?: readonly string[];
  /**
   * Paths that are answered to the end, with everything below them; the application's global prefix, a version and the
   * path of the controller's module may be left out. The endpoints of `ResilienceHealthModule` always are.
   */
  readonly alwaysServe?: readonly string[];
}

/** The options as draining uses them. */
export interface DrainingSettings {
  readonly enabled: boolean;
  readonly readinessDelay: number;
  readonly timeout: number;
  readonly closeTimeout: number;
  readonly signals: readonly string[];
  readonly alwaysServe: readonly string[];
}

/** The options of draining, for validation and documentation. */
export const drainingTable = defineOptions<DrainingOptions, DrainingSettings>(
  {
    name: 'enabled',
    kind: 'boolean',
    default: true,
    sentence: 'Whether the application waits at all before it closes.',
  },
  {
    name: 'readinessDelay',
    kind: 'duration',
    min: 0,
    default: '5s',
    sentence: 'How long traffic is still served after readiness has turned down; 0 refuses at once.',
  },
  {
    name: 'timeout',
    kind: 'duration',
    min: 0,
    default: '30s',
    sentence: 'How long work that is under way may take from then on; what is left is cut off.',
  },
  {
    name: 'closeTimeout',
    kind: 'duration',
    default: '10s',
    sentence: "After a signal: how long Nest's own closing may take before the process ends without it.",
  },
  {
    name: 'signals',
    kind: 'list',
    each: { kind: 'string' },
    default: ['SIGTERM', 'SIGINT'],
    sentence: 'The signals that `enableGracefulShutdown` listens to.',
    check: unknownSignals,
  },
  {
    name: 'alwaysServe',
    kind: 'list',
    each: { kind: 'string' },
    default: [],
    sentence: 'Paths that are answered to the end, with everything below them; health endpoints always are.',
  },
);

/** Node throws at a name that it does not know, but only when somebody listens. */
function unknownSignals(value: unknown): string | undefined {
  const wrong = (value as readonly string[]).find((name) => !/^SIG[A-Z0-9]+$/.test(name));
  return wrong === undefined
    ? undefined
    : `"signals" must name signals such as SIGTERM, got ${JSON.stringify(wrong)}.`;
}
