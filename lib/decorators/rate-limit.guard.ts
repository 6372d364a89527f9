import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { RUNTIME_TOKEN, type Runtime } from './runtime.js';

/**
 * Applies the request-keyed limits of a handler, `@RateLimit({ by })`, once per request. Stands on decorated handlers by
 * itself; register it as `APP_GUARD`, before your authentication, to count what authentication refuses too.
 *
 * @publicApi
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  constructor(@Inject(RUNTIME_TOKEN) private readonly runtime: Runtime) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    try {
      this.runtime.limitRequest(context);
      return true;
    } catch (error) {
      return this.refuse(error, context);
    }
  }

  private async refuse(error: unknown, context: ExecutionContext): Promise<never> {
    throw await this.runtime.translate(error, context);
  }
}
