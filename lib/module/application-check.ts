import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { refuseProblems } from '../core/option-table.js';
import type { OptionProblem } from '../core/errors.js';
import { injectedAs, injectedPolicies, type InjectedPolicy } from '../decorators/inject.decorators.js';
import { recordsOf, registry, type MethodRecord } from '../decorators/method-record.js';
import { policiesOfInterceptor } from '../decorators/resilience.interceptor.js';
import { decoratedClassOf, scanProviders } from './class-scan.js';
import { FeaturePolicies } from './feature-policies.js';
import { placeGuardsLast } from './handler-guards.js';
import { interceptedHandlers } from './intercepted-handlers.js';
import { checkPlan, declarePlan, planInterceptor, planMethod, type MethodPlan } from './method-plan.js';
import type { PolicyRegistry } from './policy-registry.js';
import { SharedNames } from './shared-names.js';

/** Reads all that an application says about its policies, before the first call, and finds what cannot be. */
export class ApplicationCheck {
  /** What works, but hardly as it was meant. */
  readonly warnings: string[] = [];
  private readonly features = new WeakSet<FeaturePolicies>();
  private readonly checked = new Set<unknown>();
  private readonly sharedNames: SharedNames;
  private askedFor: Set<symbol> | undefined;

  constructor(
    private readonly modules: ModulesContainer,
    private readonly policies: PolicyRegistry,
  ) {
    this.sharedNames = new SharedNames(policies);
  }

  /** Takes over what feature modules, decorators and interceptors say. Answers with everything that is wrong. */
  problems(): OptionProblem[] {
    const problems: OptionProblem[] = [];
    for (const { instance } of scanProviders(this.modules)) {
      if (instance instanceof FeaturePolicies) problems.push(...this.featureProblems(instance));
    }
    const plans: MethodPlan[] = [];
    for (const provider of scanProviders(this.modules)) {
      const type = decoratedClassOf(provider);
      if (type === undefined) this.warnOfUnmarked(provider.metatype);
      if (type !== undefined) problems.push(...this.declareClass(type, plans));
      const policies = policiesOfInterceptor(provider.metatype);
      if (policies === undefined || this.checked.has(policies)) continue;
      this.checked.add(policies);
      const plan = planInterceptor(provider.module, policies);
      plans.push(plan);
      problems.push(...declarePlan(plan, undefined, this.policies));
    }
    problems.push(...this.interceptorNameProblems());
    problems.push(...this.policies.configuredProblems());
    for (const asked of this.askedPolicies()) {
      if (this.checked.has(asked.token)) continue;
      this.checked.add(asked.token);
      problems.push(...this.injectedProblems(asked));
    }
    for (const plan of plans) problems.push(...checkPlan(plan, this.policies));
    return problems;
  }

  private injectedProblems({ kind, name, targets }: InjectedPolicy): OptionProblem[] {
    const types = [...targets].map(
      (target) => (typeof target === 'function' ? target : target.constructor).name,
    );
    const where = `${injectedAs(kind)} in ${types.join(', ')}`;
    return this.policies.nameProblems(kind, name, where, false);
  }

  /** Takes over the policies of a module that was loaded after the start. @throws {@link InvalidOptionsError} */
  addFeature(feature: FeaturePolicies): void {
    refuseProblems([...this.featureProblems(feature), ...this.policies.configuredProblems()]);
  }

  /** What a feature module adds; once. */
  private featureProblems(feature: FeaturePolicies): OptionProblem[] {
    if (this.features.has(feature)) return [];
    this.features.add(feature);
    const where = this.placeOf(feature);
    const problems = feature.problems(where);
    return problems.length > 0 ? problems : this.policies.configure(feature.policies, where);
  }

  /** By the modules that import it: several may add the same name. */
  private placeOf(feature: FeaturePolicies): string {
    const all = [...this.modules.values()];
    const own = all.find(({ providers }) =>
      [...providers.values()].some(({ instance }) => instance === feature),
    );
    const importers = all
      .filter(({ imports }) => own !== undefined && imports.has(own))
      .map(({ name }) => name);
    return `ResilienceModule.forFeature${importers.length > 0 ? ` (${importers.join(', ')})` : ''}`;
  }

  /** One method, or function, alone; `owner` is what it is. @throws {@link InvalidOptionsError} */
  refuse(plan: MethodPlan, type: Type | undefined, owner: readonly unknown[]): void {
    const problems = declarePlan(plan, type, this.policies);
    refuseProblems(problems.length > 0 ? problems : checkPlan(plan, this.policies));
    refuseProblems(this.sharedNames.problems(plan, owner));
  }

  /** What the policies of interceptors will be called, once requests come. */
  private interceptorNameProblems(): OptionProblem[] {
    if (!this.sharedNames.matter || this.checked.has(this.sharedNames)) return [];
    this.checked.add(this.sharedNames);
    const names = this.sharedNames.copy();
    const problems: OptionProblem[] = [];
    for (const { type, handler, interceptor } of interceptedHandlers(this.modules)) {
      const policies = policiesOfInterceptor(interceptor);
      if (policies === undefined) continue;
      const plan = planInterceptor(`${type.name}.${handler.name}`, policies);
      problems.push(...names.problems(plan, [policies, type, handler]));
    }
    return problems;
  }

  /** The classes with decorated methods that the application has. */
  classes(): Set<Type> {
    return new Set([...scanProviders(this.modules)].flatMap((provider) => decoratedClassOf(provider) ?? []));
  }

  /** Whether some class of the application asks for a policy. */
  asksFor(token: symbol): boolean {
    this.askedFor ??= new Set(this.askedPolicies().map((asked) => asked.token));
    return this.askedFor.has(token);
  }

  /** The policies that classes of the application ask for. */
  private askedPolicies(): InjectedPolicy[] {
    const known = new Set<unknown>();
    for (const { metatype } of scanProviders(this.modules)) {
      for (let type: unknown = metatype; typeof type === 'function'; type = Object.getPrototypeOf(type)) {
        known.add(type).add(type.prototype);
      }
    }
    return injectedPolicies().flatMap((asked) => {
      const targets = [...asked.targets].filter((target) => known.has(target));
      return targets.length === 0 ? [] : [{ ...asked, targets: new Set(targets) }];
    });
  }

  /** Above a class, decorators are defaults: they need a method that asks for them. */
  private warnOfUnmarked(metatype: unknown): void {
    if (typeof metatype !== 'function' || !registry.classes.has(metatype.prototype as object)) return;
    if (this.checked.has(metatype)) return;
    this.checked.add(metatype);
    this.warnings.push(
      `${metatype.name}: its class decorators protect nothing, because none of its methods carries one. Mark methods with @Resilient().`,
    );
  }

  private declareClass(type: Type, plans: MethodPlan[]): OptionProblem[] {
    if (this.checked.has(type)) return [];
    this.checked.add(type);
    placeGuardsLast(type);
    const records = recordsOf(type.prototype as object);
    return records.flatMap((record) => {
      const plan = planMethod(type, record);
      plans.push(plan);
      if (isBypassed(type, record, records)) {
        const key = String(record.key);
        this.warnings.push(
          `${type.name}.${key} overrides a method of ${record.owner.constructor.name} and does not call super.${key}(), so that the decorators there protect nothing. Decorate it as well.`,
        );
      }
      if (record.foreignWrapper) {
        this.warnings.push(
          `${plan.name}: another decorator replaced the method between two of ours, which makes two pipelines. Put ours next to each other.`,
        );
      }
      return [...declarePlan(plan, type, this.policies), ...this.sharedNames.problems(plan, [type, record])];
    });
  }
}

/** Whether the class has put a method without decorators in the place of this one, and never calls it. */
function isBypassed(type: Type, record: MethodRecord, records: readonly MethodRecord[]): boolean {
  const { key, owner } = record;
  const method = (type.prototype as Record<string | symbol, unknown>)[key];
  if (owner === type.prototype || typeof method !== 'function') return false;
  // One further up is below the nearest.
  if (records.find((one) => one.key === key) !== record) return false;
  if (records.some(({ interceptor }) => interceptor === method)) return false;
  const source = Function.prototype.toString.call(method);
  return !source.includes(`super.${String(key)}`) && !source.includes('super[');
}
