import { Inject, Injectable, type Type } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { PipelineDurations } from '../core/call-durations.js';
import type { EventKind, EventSelection, PolicyEvent, PolicyEventListener } from '../core/events.js';
import type { ResilientOptions } from '../decorators/resilient.options.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { DrainingService, type DrainingStats } from '../draining/draining.service.js';
import type { Pipeline } from '../pipeline/index.js';
import type { BulkheadOptions, BulkheadPolicy, BulkheadStats } from '../policies/bulkhead/index.js';
import type { ChaosOptions, ChaosPolicy, ChaosStats, LiveFaultStats } from '../policies/chaos/index.js';
import type {
  CircuitBreakerOptions,
  CircuitBreakerPolicy,
  CircuitBreakerStats,
} from '../policies/circuit-breaker/index.js';
import type { FallbackChain, FallbackOptions, FallbackStats } from '../policies/fallback/index.js';
import type { HedgeOptions, HedgePolicy, HedgeStats } from '../policies/hedge/index.js';
import type {
  IdempotencyOptions,
  IdempotencyPolicy,
  IdempotencyStats,
} from '../policies/idempotency/index.js';
import type { RateLimitOptions, RateLimitPolicy, RateLimitStats } from '../policies/rate-limit/index.js';
import type {
  RetryBudget,
  RetryBudgetOptions,
  RetryBudgetStats,
  RetryOptions,
  RetryPolicy,
  RetryStats,
} from '../policies/retry/index.js';
import type { TimeoutOptions, TimeoutPolicy, TimeoutStats } from '../policies/timeout/index.js';
import type { EventType, PolicyEventOf } from './events/event-catalogue.js';
import { GuardedObservable } from './events/guarded-observable.js';
import {
  NAMED_KINDS,
  POLICY_KINDS,
  type NamedKind,
  type PolicyOptions,
  type PolicyTypes,
} from './policy-kinds.js';
import type { ResilienceRuntime } from './resilience.runtime.js';
import type { SharedStateStats } from './shared-fleet.js';

type ByName<T> = Readonly<Record<string, T>>;

/** The numbers of an application, by kind and name. @publicApi */
export interface ResilienceStats {
  /** ISO time stamp. */
  readonly timestamp: string;
  readonly circuitBreakers: ByName<CircuitBreakerStats>;
  readonly retries: ByName<RetryStats>;
  readonly retryBudgets: ByName<RetryBudgetStats>;
  readonly bulkheads: ByName<BulkheadStats>;
  readonly rateLimiters: ByName<RateLimitStats>;
  readonly timeouts: ByName<TimeoutStats>;
  readonly fallbacks: ByName<FallbackStats>;
  readonly idempotencies: ByName<IdempotencyStats>;
  readonly hedges: ByName<HedgeStats>;
  readonly chaosPolicies: ByName<ChaosStats>;
  readonly draining: DrainingStats;
  /** Faults that were started live. */
  readonly liveFaults: LiveFaultStats;
  /** With `sharedState`: how its store does. */
  readonly sharedState?: SharedStateStats;
  /** With `callDurations`: how long calls took, by pipeline, which is called as its method: `Class.method`. */
  readonly calls?: ByName<PipelineDurations>;
}

/**
 * The policies of the application: finds and creates them by name, shows their numbers, changes them while they run. The
 * same name is the same policy that decorators and `@InjectX` use.
 *
 * @example
 * constructor(private readonly resilience: ResilienceService) {}
 * report() { return this.resilience.circuitBreaker('reports', { openDuration: '10s' }).execute(() => this.build()); }
 *
 * @publicApi
 */
@Injectable()
export class ResilienceService {
  /**
   * What happens to all policies, in order per policy; it completes when the application has closed. What a subscriber
   * throws is reported once and changes nothing. Costs nothing without a subscriber.
   */
  readonly events$: Observable<PolicyEvent>;

  constructor(
    @Inject(RUNTIME_TOKEN) private readonly runtime: ResilienceRuntime,
    @Inject(DrainingService) private readonly draining: DrainingService,
  ) {
    this.events$ = new GuardedObservable<PolicyEvent>(runtime.events.report, (subscriber) => {
      if (draining.phase === 'closed') return subscriber.complete();
      return runtime.events.listen((event) => {
        subscriber.next(event);
        if (event.kind === 'draining' && event.type === 'closed') subscriber.complete();
      });
    });
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  circuitBreaker(name: string, options?: CircuitBreakerOptions): CircuitBreakerPolicy {
    return this.runtime.policies.getWith('circuitBreaker', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  retry(name: string, options?: RetryOptions): RetryPolicy {
    return this.runtime.policies.getWith('retry', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  retryBudget(name: string, options?: RetryBudgetOptions): RetryBudget {
    return this.runtime.policies.getWith('retryBudget', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  bulkhead(name: string, options?: BulkheadOptions): BulkheadPolicy {
    return this.runtime.policies.getWith('bulkhead', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  rateLimiter(name: string, options?: RateLimitOptions): RateLimitPolicy {
    return this.runtime.policies.getWith('rateLimit', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  timeout(name: string, options?: TimeoutOptions): TimeoutPolicy {
    return this.runtime.policies.getWith('timeout', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  fallback(name: string, options?: FallbackOptions): FallbackChain {
    return this.runtime.policies.getWith('fallback', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  idempotency(name: string, options?: IdempotencyOptions): IdempotencyPolicy {
    return this.runtime.policies.getWith('idempotency', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  hedge(name: string, options?: HedgeOptions): HedgePolicy {
    return this.runtime.policies.getWith('hedge', name, options);
  }

  /** @throws {@link InvalidOptionsError} where the options contradict what the name already means. */
  chaos(name: string, options?: ChaosOptions): ChaosPolicy {
    return this.runtime.policies.getWith('chaos', name, options);
  }

  /**
   * Several policies around plain functions. The same name is the same pipeline.
   *
   * @throws {@link InvalidOptionsError} where the options contradict what the name already means.
   * @example
   * const guarded = resilience.pipeline('mailer', { retry: { maxRetries: 2 }, timeout: '5s' });
   * await guarded.execute(({ signal }) => send(mail, signal));
   */
  pipeline(name: string, policies: ResilientOptions): Pipeline {
    return this.runtime.pipeline(name, policies);
  }

  /**
   * Tells `listener` of one type of event; returns what ends that. It is told in order, after the state change; its answer
   * is not awaited. Other types of events cost nothing for it.
   *
   * @example
   * resilience.on('circuitBreaker', 'state-changed', ({ policy, details }) => page(`${policy} is ${details.to}`));
   */
  on<K extends EventKind, T extends EventType<K>>(
    kind: K,
    type: T,
    listener: (event: PolicyEventOf<K, T>) => unknown,
  ): () => void {
    return this.runtime.events.listen(listener as PolicyEventListener, { [kind]: [type] });
  }

  /** @internal As {@link EventHub.witness}. */
  witness(listener: PolicyEventListener, only: EventSelection): () => void {
    return this.runtime.events.witness(listener, only);
  }

  /** The policy of that name, if there is one; nothing is created. */
  find<K extends NamedKind>(kind: K, name: string): PolicyTypes[K] | undefined {
    return this.runtime.policies.find(kind, name);
  }

  /**
   * How long the request and the protected call around the present code may still take, in milliseconds; `undefined`
   * where nothing bounds them, and without `requestContext`.
   */
  remainingMs(): number | undefined {
    return this.runtime.context?.remainingMs;
  }

  /**
   * The header that tells the next service how long we wait for it, by `requestContext: { deadlineHeader }`; empty where
   * nothing bounds the present code.
   *
   * @example
   * await fetch(url, { signal, headers: { ...this.resilience.deadlineHeaders() } });
   */
  deadlineHeaders(): Record<string, string> {
    return this.runtime.context?.deadlineHeaders() ?? {};
  }

  /** Puts a policy back to how it began; false where there is none of that name. */
  reset(kind: NamedKind, name: string): boolean {
    const policy = this.find(kind, name);
    policy?.reset();
    return policy !== undefined;
  }

  /**
   * Changes options of a policy while it runs, keeping its state; false where there is none of that name.
   *
   * @throws {@link InvalidOptionsError}; the old options then stay in force.
   */
  update<K extends Exclude<NamedKind, 'fallback'>>(
    kind: K,
    name: string,
    options: PolicyOptions[K],
  ): boolean {
    const policy = this.find(kind, name) as { update(options: PolicyOptions[K]): void } | undefined;
    if (policy === undefined) return false;
    policy.update(options);
    return true;
  }

  /** The pipeline of a method, a policy a line, outermost first. */
  describe(type: Type, method: string | symbol): string {
    return this.runtime.describe(type, method);
  }

  /** The numbers of all policies now. Taking them changes nothing. */
  stats(): ResilienceStats {
    const byKind = NAMED_KINDS.map((kind) => {
      const policies = [...this.runtime.policies.all(kind)].map(
        ([name, policy]) => [name, policy.stats()] as const,
      );
      return [POLICY_KINDS[kind].plural, Object.fromEntries(policies)] as const;
    });
    const timestamp = new Date(this.runtime.clock.wallTime()).toISOString();
    const { durations, fleet } = this.runtime;
    return {
      timestamp,
      ...Object.fromEntries(byKind),
      draining: this.draining.stats(),
      liveFaults: this.runtime.faults.stats(),
      ...(fleet && { sharedState: fleet.stats() }),
      ...(durations && { calls: durations.stats() }),
    } as unknown as ResilienceStats;
  }
}
