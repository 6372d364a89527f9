import {
  HttpException,
  Injectable,
  ServiceUnavailableException,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { ResilienceError } from 'nestjs-breakwater';
import { catchError, type Observable } from 'rxjs';

/**
 * What a driver throws (a connection that is refused, a query that broke off) is 503 to clients. Answers that are meant,
 * and refusals of policies, stay what they are.
 */
@Injectable()
export class UnavailableInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(
      catchError((error: unknown) => {
        if (error instanceof HttpException || error instanceof ResilienceError) throw error;
        throw new ServiceUnavailableException('The database does not answer.', { cause: error });
      }),
    );
  }
}
