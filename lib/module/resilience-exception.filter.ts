import { Catch, Inject, Injectable, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { throwError } from 'rxjs';
import { ResilienceError } from '../core/errors.js';
import { RUNTIME_TOKEN } from '../decorators/runtime.js';
import { bodyOf, isTranslatable, responseOf, toHttpException, translateFor } from './error-translation.js';
import type { ResilienceRuntime } from './resilience.runtime.js';

/**
 * Answers for policies wherever their errors come up: in a plain controller over decorated services, in a guard, in a
 * pipe. The whole application has it through `forRoot`, unless `http.translateErrors` is false. Nest knows no global
 * filters for gateways, nor for a hybrid application's microservices without `inheritAppConfig`; there, handlers without
 * a decorator of ours need it by `@UseFilters(ResilienceExceptionFilter)`.
 *
 * @publicApi
 */
@Injectable()
@Catch(ResilienceError)
export class ResilienceExceptionFilter extends BaseExceptionFilter {
  constructor(@Inject(RUNTIME_TOKEN) private readonly runtime: ResilienceRuntime) {
    super();
  }

  override catch(error: ResilienceError, host: ArgumentsHost): unknown {
    const type = host.getType<string>();
    if (!isTranslatable(error) || !this.runtime.translates) {
      // oxlint-disable-next-line promise/valid-params -- a filter's catch, not a promise's
      if (type === 'http') return super.catch(error, host);
      throw error;
    }
    switch (type) {
      case 'http':
        this.runtime.writeErrorHeaders(error, responseOf(host));
        // oxlint-disable-next-line promise/valid-params -- a filter's catch, not a promise's
        return super.catch(toHttpException(error), host);
      case 'rpc':
        return throwError(() => bodyOf(error));
      case 'ws':
        return answerSocket(error, host);
      default:
        throw translateFor(type, error) as Error;
    }
  }
}

async function answerSocket(error: ResilienceError, host: ArgumentsHost): Promise<void> {
  const { BaseWsExceptionFilter, WsException } = await import('@nestjs/websockets');
  new BaseWsExceptionFilter().catch(new WsException(bodyOf(error)), host);
}
