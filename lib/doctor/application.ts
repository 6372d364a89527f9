import type { Policy } from '../core/policy.js';
import type { PolicyTypes } from '../module/policy-kinds.js';
import type { PipelineSlot } from '../pipeline/index.js';
import type { CallGraph } from './call-graph.js';

/** One policy in its place. */
export interface Step {
  readonly slot: PipelineSlot;
  readonly policy: Policy;
}

/** The policies that one decorated method, interceptor or function brought along, outermost first. */
export interface Layer {
  readonly by: 'decorators' | 'interceptor' | 'function';
  /** Limits that apply once per request, before everything. */
  readonly requestLimits: readonly Policy[];
  readonly steps: readonly Step[];
}

/** A method, or plain function, with all that runs around it. */
export interface ProtectedCode {
  /** `PaymentsService.charge`. */
  readonly name: string;
  /** `undefined` of a function. */
  readonly type: object | undefined;
  readonly key: string | symbol;
  /** Where it answers HTTP requests. */
  readonly route: { readonly verb: string; readonly path: string } | undefined;
  /** Outermost first. */
  readonly layers: readonly Layer[];
}

/** Routes of ours that are not for everybody. */
export interface OperatorRoutes {
  /** The class of their module. */
  readonly module: string;
  readonly path: string;
  readonly isGuarded: boolean;
}

/** What the checks know of an application. */
export interface Application {
  readonly protected: readonly ProtectedCode[];
  /** Policies by name, also those that nothing uses yet. */
  readonly policies: readonly Policy[];
  readonly calls: CallGraph;
  readonly operatorRoutes: readonly OperatorRoutes[];
  readonly hasSharedState: boolean;
  /** What the start itself has noticed. */
  readonly warnings: readonly string[];
}

/** A policy of one kind, and how deep inside it stands. */
export interface Placed<K extends keyof PolicyTypes> {
  readonly policy: PolicyTypes[K];
  readonly slot: PipelineSlot;
  readonly depth: number;
}

/** The policies of a kind around a piece of code, outermost first, whatever layer they are in. */
export function placed<K extends keyof PolicyTypes>(code: ProtectedCode, kind: K): Placed<K>[] {
  return code.layers
    .flatMap(({ steps }) => steps)
    .map(({ slot, policy }, depth) => ({ slot, policy, depth }))
    .filter((step): step is Placed<K> => isOfKind(step.policy, kind));
}

/** Tells kinds apart by their name: an application may have loaded another copy of the package. */
export function isOfKind<K extends keyof PolicyTypes>(policy: Policy, kind: K): policy is PolicyTypes[K] {
  return policy.kind === kind;
}

/** The retries around a piece of code that really retry, outermost first. */
export function retriesOf(code: ProtectedCode): Placed<'retry'>[] {
  return placed(code, 'retry').filter(({ policy }) => policy.configuration.maxRetries > 0);
}

/** How often a piece of code may run for one call. */
export function attemptsOf(code: ProtectedCode): number {
  return retriesOf(code).reduce((product, { policy }) => product * attempts(policy), 1);
}

/** How often a retry may run what is inside it. */
export function attempts({ configuration }: PolicyTypes['retry']): number {
  return configuration.maxRetries + 1;
}
