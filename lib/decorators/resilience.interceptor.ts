import {
  Inject,
  Injectable,
  mixin,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { Observable, from, lastValueFrom } from 'rxjs';
import { sharedState } from '../core/identity.js';
import { isOwnRoute } from '../core/own-routes.js';
import { letStandFor } from '../core/stand-ins.js';
import { questionOf } from './handler-question.js';
import type { InterceptorPolicies } from './interceptor-policies.js';
import { RUNTIME_TOKEN, type Runtime } from './runtime.js';

const interceptorPolicies = sharedState(
  'interceptor-policies',
  () => new WeakMap<object, InterceptorPolicies>(),
);

/** What an interceptor of ours applies, so that it can be checked at start. */
export function policiesOfInterceptor(type: unknown): InterceptorPolicies | undefined {
  return typeof type === 'function' ? interceptorPolicies.get(type) : undefined;
}

/**
 * Does for a handler what needs the request: the transport's own errors in place of ours, and headers. Decorators attach
 * it by themselves. {@link ResilienceInterceptor.for} makes one that also applies policies around the handler, for
 * handlers that cannot be decorated.
 *
 * @publicApi
 */
@Injectable()
export class ResilienceInterceptor implements NestInterceptor {
  constructor(@Inject(RUNTIME_TOKEN) protected readonly runtime: Runtime) {}

  /**
   * An interceptor that runs handlers under these policies. Unnamed policies belong to the handler that they protect.
   * Option functions see the `ExecutionContext` as the call's only argument; idempotency compares requests by method, URL and
   * body, messages by handler and data. The handler's answer is its last value. Where it stands around all handlers, health,
   * metrics and the other routes of this package are left out.
   *
   * @example
   * @UseInterceptors(ResilienceInterceptor.for({ timeout: '2s', bulkhead: 'reports' }))
   * @Get() report() { … }
   */
  static for(policies: InterceptorPolicies): Type<NestInterceptor> {
    @Injectable()
    class PolicyInterceptor extends ResilienceInterceptor {
      override intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
        if (isOwnRoute(context.getClass())) return next.handle();
        const handle = () => lastValueFrom(next.handle(), { defaultValue: undefined });
        letStandFor(context, questionOf);
        return this.answer(context, () => from(this.runtime.intercept(policies, context, [context], handle)));
      }
    }
    interceptorPolicies.set(PolicyInterceptor, policies);
    return mixin(PolicyInterceptor);
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return this.answer(context, () => next.handle());
  }

  protected answer(context: ExecutionContext, handle: () => Observable<unknown>): Observable<unknown> {
    const { runtime } = this;
    return new Observable<unknown>((subscriber) =>
      handle().subscribe({
        next: (value) => {
          if (runtime.hasHeaders) runtime.writeHeaders(context);
          subscriber.next(value);
        },
        error: (error: unknown) => {
          const translated = runtime.translate(error, context);
          if (!(translated instanceof Promise)) subscriber.error(translated);
          else
            translated.then(
              (late) => subscriber.error(late),
              () => subscriber.error(error),
            );
        },
        complete: () => subscriber.complete(),
      }),
    );
  }
}
