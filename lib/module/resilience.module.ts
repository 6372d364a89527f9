import type { IncomingMessage } from 'node:http';
import {
  ConfigurableModuleBuilder,
  Inject,
  Logger,
  Module,
  type ConfigurableModuleAsyncOptions,
  type DynamicModule,
  type MiddlewareConsumer,
  type NestModule,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
  type Provider,
} from '@nestjs/common';
import { APP_FILTER, HttpAdapterHost, ModulesContainer } from '@nestjs/core';
import { InvalidOptionsError } from '../core/errors.js';
import { sharedSymbol } from '../core/identity.js';
import { describeValue } from '../core/option-form.js';
import type { PolicyKind } from '../core/policy.js';
import { injectedPolicies, policyToken } from '../decorators/inject.decorators.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { DrainingService } from '../draining/draining.service.js';
import { ChaosService } from './chaos.service.js';
import { drainingProvider } from './draining.provider.js';
import { EventLog } from './events/event-log.js';
import { eventProviders } from './events/events.providers.js';
import { FeaturePolicies } from './feature-policies.js';
import { InstanceBinder } from './instance-binder.js';
import { NAMED_KINDS, POLICY_KINDS } from './policy-kinds.js';
import type { RequestState } from './request-context.js';
import { ResilienceExceptionFilter } from './resilience-exception.filter.js';
import type { NamedPolicies, ResilienceModuleOptions } from './resilience.options.js';
import { ResilienceRuntime } from './resilience.runtime.js';
import { ResilienceService } from './resilience.service.js';

const OPTIONS_TOKEN = sharedSymbol('module-options');
const BINDER_TOKEN = sharedSymbol('instance-binder');

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<ResilienceModuleOptions>({
  optionsInjectionToken: OPTIONS_TOKEN,
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createResilienceOptions')
  .setExtras({}, (definition) => ({ ...definition, global: true }))
  .build();

/** Options of `ResilienceModule.forRootAsync()`. @publicApi */
export type ResilienceModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  ResilienceModuleOptions,
  'createResilienceOptions'
>;

/** A class that makes the module's options, for `useClass` and `useExisting`. @publicApi */
export interface ResilienceOptionsFactory {
  createResilienceOptions(): ResilienceModuleOptions | Promise<ResilienceModuleOptions>;
}

/**
 * Registers the policies of an application and makes decorators take hold. Import it once, in the root module.
 *
 * @example
 * @Module({ imports: [ResilienceModule.forRoot({ circuitBreakers: { payments: { openDuration: '30s' } } })] })
 * export class AppModule {}
 *
 * @publicApi
 */
@Module({})
export class ResilienceModule
  extends ConfigurableModuleClass
  implements NestModule, OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown
{
  constructor(
    @Inject(RUNTIME_TOKEN) private readonly runtime: ResilienceRuntime,
    @Inject(BINDER_TOKEN) private readonly binder: InstanceBinder,
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
  ) {
    super();
  }

  /** With options that are known now. All are optional. */
  static override forRoot(options: ResilienceModuleOptions = {}): DynamicModule {
    return complete(super.forRoot(options), () => [...namesIn(options), ...injectedPolicies()]);
  }

  /** With options that have to be waited for. Policies that are only configured there are provided where injected. */
  static override forRootAsync(options: ResilienceModuleAsyncOptions): DynamicModule {
    return complete(super.forRootAsync(options), injectedPolicies);
  }

  /** Adds named policies, beside the feature that uses them. They belong to the whole application. */
  static forFeature(policies: NamedPolicies): DynamicModule {
    const feature = new FeaturePolicies(policies);
    const providers = providersOf(namesIn(policies), (runtime) => runtime.addFeature(feature));
    return {
      module: ResilienceFeatureModule,
      providers: [{ provide: Symbol('feature-policies'), useValue: feature }, ...providers],
      exports: providers,
    };
  }

  configure(consumer: MiddlewareConsumer): void {
    const { context } = this.runtime;
    if (context === undefined) return;
    const open = (request: Pick<IncomingMessage, 'headers'>, response: ResponseLike, next: () => void) =>
      context.open(request.headers, response.raw ?? response, next);
    consumer.apply(open).forRoutes('{*path}');
  }

  onModuleInit(): void {
    this.binder.bindMade(this.modules);
    const [problem] = this.binder.problems;
    if (problem !== undefined) throw new Error(problem);
    this.runtime.checkMade();
    this.runtime.isInitialised = true;
    this.binder.watch(this.modules, () => provideAsked(this.modules));
    const logger = new Logger(ResilienceModule.name);
    for (const warning of this.runtime.warnings) logger.warn(warning);
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.runtime.fleet?.start();
  }

  async onApplicationShutdown(): Promise<void> {
    this.binder.release();
    await this.runtime.fleet?.stop();
  }
}

/** Holds what one `forFeature` adds. */
@Module({})
class ResilienceFeatureModule {}

type Response = NonNullable<RequestState['response']>;
type ResponseLike = Response & { readonly raw?: Response };

interface PolicyName {
  readonly kind: PolicyKind;
  readonly name: string;
}

function namesIn(policies: NamedPolicies): PolicyName[] {
  return NAMED_KINDS.flatMap((kind) =>
    Object.keys(policies[POLICY_KINDS[kind].plural] ?? {}).map((name) => ({ kind, name })),
  );
}

function providersOf(
  names: readonly PolicyName[],
  prepare?: (runtime: ResilienceRuntime) => void,
): Provider[] {
  const unique = new Map(names.map(({ kind, name }) => [policyToken(kind, name), { kind, name }]));
  return [...unique].map(([provide, { kind, name }]) => ({
    provide,
    inject: [RUNTIME_TOKEN],
    useFactory: (runtime: ResilienceRuntime) => {
      prepare?.(runtime);
      return runtime.injectable(kind, name, provide);
    },
  }));
}

/**
 * The providers of the module. The list is made when Nest reads it, and not when `forRoot` is called: by then every file
 * of the application has been loaded, so every `@InjectX` has been seen.
 */
function complete(definition: DynamicModule, names: () => readonly PolicyName[]): DynamicModule {
  const own: Provider[] = [
    {
      provide: BINDER_TOKEN,
      inject: [RUNTIME_TOKEN, ModulesContainer],
      useFactory: (runtime: ResilienceRuntime, modules: ModulesContainer) => {
        const binder = new InstanceBinder(runtime);
        binder.bindAll(modules);
        return binder;
      },
    },
    {
      provide: RUNTIME_TOKEN,
      inject: [OPTIONS_TOKEN, ModulesContainer, HttpAdapterHost],
      useFactory: createRuntime,
    },
    ResilienceService,
    ChaosService,
    drainingProvider(OPTIONS_TOKEN),
    ...eventProviders(OPTIONS_TOKEN),
    { provide: APP_FILTER, useClass: ResilienceExceptionFilter },
  ];
  return {
    ...definition,
    get providers() {
      return [...(definition.providers ?? []), ...own, ...providersOf(names())];
    },
    get exports() {
      return [
        RUNTIME_TOKEN,
        ResilienceService,
        ChaosService,
        DrainingService,
        EventLog,
        ...providersOf(names()).map((provider) => tokenOf(provider)),
      ];
    },
  };
}

/** What files that were loaded after the start ask for with `@InjectX`. */
function provideAsked(modules: ModulesContainer): void {
  const module = [...modules.values()].find(({ metatype }) => metatype === ResilienceModule);
  for (const provider of module === undefined ? [] : providersOf(injectedPolicies())) {
    const token = tokenOf(provider);
    if (module?.providers.has(token) !== false) continue;
    module.addProvider(provider);
    module.exports.add(token);
  }
}

function tokenOf(provider: Provider): symbol {
  return (provider as { provide: symbol }).provide;
}

function createRuntime(
  options: ResilienceModuleOptions,
  modules: ModulesContainer,
  host: HttpAdapterHost,
): ResilienceRuntime {
  const where = 'ResilienceModule';
  if (typeof (options as unknown) !== 'object' || options === null) {
    const message = `The factory of forRootAsync must return options, got ${describeValue(options)}.`;
    throw new InvalidOptionsError([{ where, message }]);
  }
  if ([...modules.values()].filter(({ metatype }) => metatype === ResilienceModule).length > 1) {
    const message =
      'forRoot is imported more than once, which would split the application: import it in the root module, and use forFeature elsewhere.';
    throw new InvalidOptionsError([{ where, message }]);
  }
  return new ResilienceRuntime(options, modules, {
    isHeadersSent: (response) => host.httpAdapter.isHeadersSent(response) as boolean,
    setHeader: (response, name, value) => {
      host.httpAdapter.setHeader(response, name, value);
    },
  });
}
