import { BadRequestException, Inject, Injectable, NotFoundException } from '@nestjs/common';
import { announce } from '../../core/environment.js';
import { InvalidOptionsError, type OptionProblem } from '../../core/errors.js';
import { checkOptions } from '../../core/option-table.js';
import type { PolicyKind } from '../../core/policy.js';
import { suggest } from '../../core/suggest.js';
import { RUNTIME_TOKEN } from '../../decorators/runtime.js';
import { jsonReady } from '../../health/indicator-result.js';
import { ChaosService } from '../../module/chaos.service.js';
import { POLICY_KINDS, type NamedKind, type PolicyTypes } from '../../module/policy-kinds.js';
import type { ResilienceRuntime } from '../../module/resilience.runtime.js';
import { ResilienceService } from '../../module/resilience.service.js';
import type { ActiveFault, FaultOptions } from '../../policies/chaos/index.js';
import type { CircuitBreakerPolicy } from '../../policies/circuit-breaker/index.js';
import { BREAKER_ACTIONS, actionTable, oneLine, type ActionBody, type BreakerAction } from './operator.js';
import { PLURALS, kindOf } from './policy-kind.js';

/** One policy, as it is shown. */
export interface ShownPolicy {
  readonly kind: string;
  readonly name: string;
  /** What it is set to do. */
  readonly description: string;
  readonly stats: Readonly<Record<string, unknown>>;
}

/** A fault, as it is shown. */
export type ShownFault = Omit<ActiveFault, 'stop'>;

type Numbers = Readonly<Record<string, unknown>>;

/**
 * What an operator can see and do. Seeing changes nothing; whatever is done is an event that names who did it.
 */
@Injectable()
export class PolicyControl {
  constructor(
    @Inject(RUNTIME_TOKEN) private readonly runtime: ResilienceRuntime,
    @Inject(ResilienceService) private readonly resilience: ResilienceService,
    @Inject(ChaosService) private readonly chaos: ChaosService,
  ) {}

  /** The numbers of everything. */
  overview(): Numbers {
    return jsonReady({ ...this.resilience.stats(), chaos: this.chaos.stats() });
  }

  /** The numbers of a kind, by name. */
  ofKind(plural: string): Numbers {
    const policies: ReadonlyMap<string, PolicyTypes[NamedKind]> = this.runtime.policies.all(
      this.kind(plural),
    );
    return jsonReady(Object.fromEntries([...policies].map(([name, policy]) => [name, policy.stats()])));
  }

  one(plural: string, name: string): ShownPolicy {
    const kind = this.kind(plural);
    const policy = this.policy(kind, name);
    return {
      kind: POLICY_KINDS[kind].plural,
      name,
      description: policy.describe(),
      stats: jsonReady(policy.stats()),
    };
  }

  /** Resets a policy, or tells a circuit breaker what to do. */
  act(plural: string, name: string, action: string, body: unknown, by: string): ShownPolicy {
    const kind = this.kind(plural);
    const policy = this.policy(kind, name);
    if (action !== 'reset' && !isBreakerAction(action)) {
      throw new NotFoundException(
        `There is no action ${JSON.stringify(action)}. A policy can be: reset; a circuit breaker also: ${BREAKER_ACTIONS.join(', ')}.`,
      );
    }
    const reason = oneLine((readBody(body) as ActionBody).reason);
    if (action === 'reset') {
      policy.reset();
      // So that its reason, too, says who it was.
      if (policy.kind === 'circuitBreaker') tellBreaker(policy, 'close', 'reset', by);
      this.tell(kind, name, 'reset', { by });
    } else {
      if (policy.kind !== 'circuitBreaker') {
        throw new BadRequestException(
          `${action} is for circuit breakers; a ${POLICY_KINDS[kind].title} can be reset.`,
        );
      }
      tellBreaker(policy, action, reason, by);
      this.tell(kind, name, 'changed', { by, action, ...(reason !== '' && { reason }) });
    }
    return this.one(plural, name);
  }

  /** Changes options; all of them, or none where one cannot be. */
  change(plural: string, name: string, options: unknown, by: string): ShownPolicy {
    const kind = this.kind(plural);
    this.policy(kind, name);
    if (kind === 'fallback') {
      throw new BadRequestException(
        'The levels of a fallback are code: nothing about them can be changed from here.',
      );
    }
    if (!isRecord(options) || Object.keys(options).length === 0) {
      throw new BadRequestException('The body must be a JSON object with at least one option to change.');
    }
    orBadRequest(() => this.resilience.update(kind, name, options));
    this.tell(kind, name, 'changed', { by, action: 'options', options: JSON.stringify(options) });
    return this.one(plural, name);
  }

  /** The numbers of chaos, the active faults, and what faults can be for. */
  chaosOverview(): Numbers {
    const faults = this.chaos.active().map(shown);
    return { ...jsonReady(this.chaos.stats()), faults, targets: this.chaos.targets() };
  }

  startFault(options: unknown, by: string): ShownFault {
    if (!isRecord(options))
      throw new BadRequestException('The body must be a JSON object: the options of a fault.');
    const fault = orBadRequest(() => this.chaos.start(options as unknown as FaultOptions));
    this.tell('chaos', fault.name, 'changed', { by, action: 'start', options: JSON.stringify(options) });
    return shown(fault);
  }

  stopFault(id: string, by: string): ShownFault {
    const faults = this.chaos.active();
    const fault = faults.find((one) => one.id === id);
    if (fault === undefined) {
      const active =
        faults.length === 0 ? 'none is active' : `active: ${faults.map((one) => one.id).join(', ')}`;
      throw new NotFoundException(`There is no active fault ${JSON.stringify(id)}; ${active}.`);
    }
    fault.stop();
    this.tell('chaos', fault.name, 'changed', { by, action: 'stop' });
    return shown(fault);
  }

  clearFaults(by: string): { readonly stopped: number } {
    const stopped = this.chaos.clear();
    this.tell('chaos', 'all faults', 'changed', { by, action: 'clear' });
    return { stopped };
  }

  switchMonkey(enable: boolean, by: string): Numbers {
    if (enable) orBadRequest(() => this.chaos.monkey.enable());
    else this.chaos.monkey.disable();
    this.tell('chaos', 'monkey', 'changed', { by, action: enable ? 'enable' : 'disable' });
    return this.chaosOverview();
  }

  private kind(plural: string): NamedKind {
    const kind = kindOf(plural);
    if (kind !== undefined) return kind;
    throw new NotFoundException(
      `There is no kind of policy ${JSON.stringify(plural)}${meant(plural, PLURALS)} There are: ${PLURALS.join(', ')}.`,
    );
  }

  private policy<K extends NamedKind>(kind: K, name: string): PolicyTypes[K] {
    const policy = this.runtime.policies.find(kind, name);
    if (policy !== undefined) return policy;
    const known = [...this.runtime.policies.all(kind).keys()];
    throw new NotFoundException(
      `There is no ${POLICY_KINDS[kind].title} ${JSON.stringify(name)}${meant(name, known)}`,
    );
  }

  private tell(kind: PolicyKind, name: string, type: 'changed' | 'reset', details: Numbers): void {
    announce(this.runtime.policies.environment, { kind, name }, type, () => details);
  }
}

function tellBreaker(breaker: CircuitBreakerPolicy, action: BreakerAction, why: string, by: string): void {
  const reason = `${why === '' ? action : why} (by ${by})`;
  switch (action) {
    case 'force-open':
      return breaker.forceOpen(reason);
    case 'close':
      return breaker.close(reason);
    case 'disable':
      return breaker.disable(reason);
    case 'meter-only':
      return breaker.meterOnly(reason);
  }
}

function isBreakerAction(action: string): action is BreakerAction {
  return (BREAKER_ACTIONS as readonly string[]).includes(action);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** No body, or one that is as it should be. */
function readBody(body: unknown): object {
  if (body === undefined || body === null) return {};
  const problems = checkOptions(actionTable, body, 'the body');
  if (problems.length > 0) throw badRequest(problems);
  return body;
}

function orBadRequest<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof InvalidOptionsError) throw badRequest(error.problems);
    throw error;
  }
}

function badRequest(problems: readonly OptionProblem[]): BadRequestException {
  return new BadRequestException({
    statusCode: 400,
    error: 'Bad Request',
    message: problems.map(({ message }) => message),
    problems: problems.map(({ option, message }) => ({ option, message })),
  });
}

function meant(given: string, known: readonly string[]): string {
  const near = suggest(given, known);
  return near === undefined ? '.' : `; did you mean ${JSON.stringify(near)}?`;
}

/** Its fields are getters, which a spread would leave behind. */
function shown(fault: ActiveFault): ShownFault {
  return {
    id: fault.id,
    name: fault.name,
    fault: fault.fault,
    targets: fault.targets,
    ratePercent: fault.ratePercent,
    startedAt: fault.startedAt,
    remainingMs: fault.remainingMs,
    endedBy: fault.endedBy,
    totalCalls: fault.totalCalls,
    totalInjected: fault.totalInjected,
  };
}
