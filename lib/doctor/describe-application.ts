import { RequestMethod, type INestApplicationContext, type Type } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { Policy } from '../core/policy.js';
import { policiesOfInterceptor } from '../decorators/resilience.interceptor.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { interceptedHandlers } from '../module/intercepted-handlers.js';
import { NAMED_KINDS } from '../module/policy-kinds.js';
import type { Protection } from '../module/protection.js';
import type { ResilienceRuntime } from '../module/resilience.runtime.js';
import type { Pipeline } from '../pipeline/index.js';
import type { Application, Layer, ProtectedCode } from './application.js';
import { CallGraph } from './call-graph.js';
import { injectablesOf } from './injectables.js';
import { operatorRoutesOf } from './operator-routes.js';

/** What the checks know of an application, read from its runtime and from Nest's records. */
export function describeApplication(app: INestApplicationContext): Application {
  const runtime = runtimeOf(app);
  runtime.checkMade();
  const modules = app.get(ModulesContainer, { strict: false });
  return {
    protected: [...protectedMethods(runtime, modules), ...protectedFunctions(runtime)],
    policies: NAMED_KINDS.flatMap((kind) => [...runtime.policies.all(kind).values()] as Policy[]),
    calls: new CallGraph(injectablesOf(modules)),
    operatorRoutes: operatorRoutesOf(app, modules),
    hasSharedState: runtime.fleet !== undefined,
    warnings: runtime.warnings,
  };
}

function runtimeOf(app: INestApplicationContext): ResilienceRuntime {
  try {
    return app.get<ResilienceRuntime>(RUNTIME_TOKEN, { strict: false });
  } catch (cause) {
    throw new Error(
      'The application has no policies to look at: its root module does not import ResilienceModule.forRoot().',
      { cause },
    );
  }
}

/** Decorated methods, and handlers behind interceptors; what both protect is one, the interceptors outside. */
function protectedMethods(runtime: ResilienceRuntime, modules: ModulesContainer): ProtectedCode[] {
  const found = new Map<Type, Map<string | symbol, Layer[]>>();
  const layersOf = (type: Type, key: string | symbol): Layer[] => {
    let byKey = found.get(type);
    if (byKey === undefined) found.set(type, (byKey = new Map<string | symbol, Layer[]>()));
    let layers = byKey.get(key);
    if (layers === undefined) byKey.set(key, (layers = []));
    return layers;
  };
  for (const { type, key, protection } of runtime.protectedMethods())
    layersOf(type, key).push(layerOf('decorators', protection));
  for (const { type, key, handler, interceptor } of interceptedHandlers(modules)) {
    const policies = policiesOfInterceptor(interceptor);
    if (policies === undefined) continue;
    const layers = layersOf(type, key);
    const inside = layers.findIndex(({ by }) => by === 'decorators');
    const layer = layerOf('interceptor', runtime.handlerProtection(policies, type, handler));
    layers.splice(inside === -1 ? layers.length : inside, 0, layer);
  }
  return [...found].flatMap(([type, byKey]) =>
    [...byKey].map(([key, layers]) => ({
      name: `${type.name}.${String(key)}`,
      type,
      key,
      route: routeOf(type, key),
      layers,
    })),
  );
}

function protectedFunctions(runtime: ResilienceRuntime): ProtectedCode[] {
  return runtime.functionPipelines().map((pipeline) => ({
    name: pipeline.name,
    type: undefined,
    key: pipeline.name,
    route: undefined,
    layers: [{ by: 'function', requestLimits: [], steps: stepsOf(pipeline) }],
  }));
}

function layerOf(by: Layer['by'], { pipeline, requestLimits }: Protection): Layer {
  return { by, requestLimits, steps: stepsOf(pipeline) };
}

function stepsOf({ steps }: Pipeline): Layer['steps'] {
  return steps.map(({ slot, policy }) => ({ slot, policy }));
}

/** By Nest's own names: `@Controller()` and `@Post()`. */
function routeOf(type: Type, key: string | symbol): ProtectedCode['route'] {
  const method = (type.prototype as Record<string | symbol, unknown>)[key];
  if (typeof method !== 'function' || !Reflect.hasMetadata('method', method)) return undefined;
  const verb = RequestMethod[Reflect.getMetadata('method', method) as RequestMethod];
  const paths = [type, method].map((target) => Reflect.getMetadata('path', target) as unknown);
  return { verb, path: joined(paths) };
}

/** Of several paths that lead to the same, the first. */
function joined(paths: readonly unknown[]): string {
  const parts = paths
    .map((path) => String((Array.isArray(path) ? path[0] : path) ?? ''))
    .map((path) => path.replace(/^\/+|\/+$/g, ''))
    .filter((path) => path !== '');
  return `/${parts.join('/')}`;
}
