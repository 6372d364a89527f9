import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { RUNTIME_TOKEN, type Runtime } from './runtime.js';

/**
 * Applies the request-keyed limits of a handler, `@RateLimit({ by })`, once per request. Stands on decorated handlers by
 * itself, behind their other guards; register it as `APP_GUARD`, before your authentication, to count what authentication
 * refuses too. A request that has no key then, or no user yet, is counted behind the guards of its handler.
 *
 * @publicApi
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  /** Whether no other guard follows. */
  protected readonly isLast: boolean = false;

  constructor(@Inject(RUNTIME_TOKEN) private readonly runtime: Runtime) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const refused = async (error: unknown): Promise<never> => {
      throw await this.runtime.translate(error, context);
    };
    try {
      const waiting = this.runtime.limitRequest(context, this.isLast);
      return waiting === undefined ? true : waiting.then(() => true, refused);
    } catch (error) {
      return refused(error);
    }
  }
}

/**
 * The one that decorators attach, behind all other guards of the handler. A class of its own, so that one that a user writes
 * stays where it was written.
 */
@Injectable()
export class HandlerRateLimitGuard extends RateLimitGuard {
  protected override readonly isLast = true;
}
