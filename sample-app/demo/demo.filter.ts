import { Catch, HttpException, HttpStatus, Injectable, type ArgumentsHost } from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import { RateLimitExceededError, ResilienceError } from 'nestjs-breakwater';

const RETRY_AFTER_SECONDS = 60;

/** Errors in the words of the demo API, which are not those of the library. */
@Injectable()
@Catch()
export class DemoFilter extends BaseExceptionFilter {
  override catch(error: unknown, host: ArgumentsHost): void {
    if (error instanceof ResilienceError && error.retryAfterMs !== undefined) {
      const response = host.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
      response.header('Retry-After', String(Math.ceil(error.retryAfterMs / 1_000)));
    }
    // oxlint-disable-next-line promise/valid-params -- a filter's catch, not a promise's
    super.catch(answerTo(error), host);
  }
}

function answerTo(error: unknown): HttpException {
  if (error instanceof RateLimitExceededError) {
    const body = { error: 'Rate limit exceeded', retry_after: RETRY_AFTER_SECONDS };
    return new HttpException(body, HttpStatus.TOO_MANY_REQUESTS, { cause: error });
  }
  const body = {
    error: 'Service unavailable',
    details: error instanceof Error ? error.message : String(error),
  };
  return new HttpException(body, HttpStatus.SERVICE_UNAVAILABLE, { cause: error });
}
