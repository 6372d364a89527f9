import { STATUS_CODES } from 'node:http';
import { HttpException, type ArgumentsHost } from '@nestjs/common';
import { ChaosInjectedError, ResilienceError, type ResilienceErrorCode } from '../core/errors.js';

/** What a client reads of an error. @publicApi */
export interface ErrorBody {
  readonly statusCode: number;
  readonly error: string;
  readonly message: string;
  readonly code: ResilienceErrorCode;
  readonly policy: string | undefined;
  readonly retryAfterMs: number | undefined;
}

const STATUS: Readonly<Partial<Record<ResilienceErrorCode, readonly [status: number, title: string]>>> = {
  CIRCUIT_OPEN: [503, 'Service Unavailable'],
  BULKHEAD_FULL: [503, 'Service Unavailable'],
  DRAINING: [503, 'Service Unavailable'],
  RETRY_BUDGET_EXHAUSTED: [503, 'Service Unavailable'],
  FALLBACK_EXHAUSTED: [503, 'Service Unavailable'],
  RATE_LIMITED: [429, 'Too Many Requests'],
  TIMEOUT: [504, 'Gateway Timeout'],
  IDEMPOTENCY_CONFLICT: [409, 'Conflict'],
  IDEMPOTENCY_MISMATCH: [422, 'Unprocessable Entity'],
  IDEMPOTENCY_KEY_MISSING: [400, 'Bad Request'],
  IDEMPOTENCY_UNAVAILABLE: [503, 'Service Unavailable'],
  CHAOS_INJECTED: [503, 'Service Unavailable'],
};

/** Whether clients should be told about an error; wrong options are a matter of the server alone. */
export function isTranslatable(error: unknown): error is ResilienceError {
  return error instanceof ResilienceError && STATUS[error.code] !== undefined;
}

/** What a client is told. */
export function bodyOf(error: ResilienceError): ErrorBody {
  const [statusCode, title] = STATUS[error.code] as readonly [number, string];
  const { message, code, policy, retryAfterMs } = error;
  const status = error instanceof ChaosInjectedError ? (error.status ?? statusCode) : statusCode;
  return {
    statusCode: status,
    error: status === statusCode ? title : (STATUS_CODES[status] ?? title),
    message,
    code,
    policy,
    retryAfterMs: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs),
  };
}

/** Nest's own kind of error, with ours as its cause. */
export function toHttpException(error: ResilienceError): HttpException {
  const body = bodyOf(error);
  return new HttpException(body, body.statusCode, { cause: error });
}

/**
 * The error that the transport of a context understands. Microservices and WebSockets are loaded when they are first
 * needed: an application that has them has loaded them already.
 */
export function translateFor(type: string, error: ResilienceError): Error | Promise<Error> {
  switch (type) {
    case 'rpc':
      return import('@nestjs/microservices').then(({ RpcException }) => new RpcException(bodyOf(error)));
    case 'ws':
      return import('@nestjs/websockets').then(({ WsException }) => new WsException(bodyOf(error)));
    case 'graphql': {
      const { statusCode, code, policy, retryAfterMs } = bodyOf(error);
      const extensions = { code, policy, retryAfterMs, http: { status: statusCode } };
      // GraphQL takes over the extensions of whatever error a resolver throws.
      return Object.assign(new Error(error.message, { cause: error }), { extensions });
    }
    case 'http':
      return toHttpException(error);
    default:
      // A transport that we do not know: our own error says most.
      return error;
  }
}

/** The response that belongs to a context over HTTP. */
export function responseOf(host: ArgumentsHost): unknown {
  return host.getType() === 'http' ? host.switchToHttp().getResponse<unknown>() : undefined;
}

/** `Retry-After` in whole seconds, rounded up. */
export function retryAfterSeconds(retryAfterMs: number): string {
  return String(Math.ceil(retryAfterMs / 1000));
}
