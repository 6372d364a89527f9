import { Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import type { Observable } from 'rxjs';

/** Health is never "not modified": a conditional request gets the whole answer. */
@Injectable()
export class WholeAnswers implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, unknown> }>();
    delete headers['if-none-match'];
    delete headers['if-modified-since'];
    return next.handle();
  }
}
