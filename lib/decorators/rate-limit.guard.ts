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

  async canActivate(context: ExecutionContext): Promise<boolean> {
    try {
      await this.runtime.limitRequest(context);
    } catch (error) {
      throw await this.runtime.translate(error, context);
    }
    return true;
  }
}
