import { ForbiddenException, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';

/**
 * Refuses changes that a browser sends for another site: it would add the cookies, or the password, of whoever looks at
 * that site. A request with a bearer token is no such thing, as no browser adds one by itself.
 */
@Injectable()
export class SameOriginGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const { method, headers } = context.switchToHttp().getRequest<{
      method: string;
      headers: Readonly<Record<string, string | undefined>>;
    }>();
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return true;
    const site = headers['sec-fetch-site'];
    const foreign = site === 'cross-site' || site === 'same-site';
    if (!foreign || /^bearer /i.test(headers['authorization'] ?? '')) return true;
    throw new ForbiddenException('Changes cannot be sent from a page of another origin.');
  }
}
