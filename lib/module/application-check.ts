import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { refuseProblems } from '../core/option-table.js';
import type { OptionProblem } from '../core/errors.js';
import { injectedPolicies, type InjectedPolicy } from '../decorators/inject.decorators.js';
import { recordsOf, registry } from '../decorators/method-record.js';
import { policiesOfInterceptor } from '../decorators/resilience.interceptor.js';
import { decoratedClassOf, scanProviders } from './class-scan.js';
import { FeaturePolicies } from './feature-policies.js';
import { placeGuardsLast } from './handler-guards.js';
import { checkPlan, declarePlan, planInterceptor, planMethod, type MethodPlan } from './method-plan.js';
import type { PolicyRegistry } from './policy-registry.js';

/** Reads all that an application says about its policies, before the first call, and finds what cannot be. */
export class ApplicationCheck {
  /** What works, but hardly as it was meant. */
  readonly warnings: string[] = [];
  private readonly features = new WeakSet<FeaturePolicies>();
  private readonly checked = new Set<unknown>();
  private askedFor: Set<symbol> | undefined;

  constructor(
    private readonly modules: ModulesContainer,
    private readonly policies: PolicyRegistry,
  ) {}

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
    problems.push(...this.policies.configuredProblems());
    for (const asked of this.askedPolicies()) {
      if (this.checked.has(asked.token)) continue;
      this.checked.add(asked.token);
      problems.push(...this.policies.nameProblems(asked.kind, asked.name, `The injected ${asked.kind}`));
    }
    for (const plan of plans) problems.push(...checkPlan(plan, this.policies));
    return problems;
  }

  /** Takes over the policies of a module that was loaded after the start. @throws {@link InvalidOptionsError} */
  addFeature(feature: FeaturePolicies): void {
    refuseProblems([...this.featureProblems(feature), ...this.policies.configuredProblems()]);
  }

  /** What a feature module adds; once. */
  private featureProblems(feature: FeaturePolicies): OptionProblem[] {
    if (this.features.has(feature)) return [];
    this.features.add(feature);
    const problems = feature.problems();
    return problems.length > 0
      ? problems
      : this.policies.configure(feature.policies, 'ResilienceModule.forFeature');
  }

  /** One method, or function, alone. @throws {@link InvalidOptionsError} */
  refuse(plan: MethodPlan, type: Type | undefined): void {
    const problems = declarePlan(plan, type, this.policies);
    refuseProblems(problems.length > 0 ? problems : checkPlan(plan, this.policies));
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
    return injectedPolicies().filter(({ targets }) => [...targets].some((target) => known.has(target)));
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
    return recordsOf(type.prototype as object).flatMap((record) => {
      const plan = planMethod(type, record);
      plans.push(plan);
      if (record.foreignWrapper) {
        this.warnings.push(
          `${plan.name}: another decorator replaced the method between two of ours, which makes two pipelines. Put ours next to each other.`,
        );
      }
      return declarePlan(plan, type, this.policies);
    });
  }
}
