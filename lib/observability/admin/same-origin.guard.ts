import { ForbiddenException, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';

interface AnyRequest {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** What the framework takes for the host: behind a proxy that it trusts, what that was asked for. */
  readonly host?: string | undefined;
}

/**
 * Refuses changes that a browser sends for another site: it would add the cookies, or the password, of whoever looks at
 * that site. A request with a bearer token is no such thing, as no browser adds one by itself.
 */
@Injectable()
export class SameOriginGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<AnyRequest>();
    const { method, headers } = request;
    if (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') return true;
    if (/^bearer /i.test(headers['authorization'] ?? '') || !isForeign(request)) return true;
    throw new ForbiddenException(
      'Changes cannot be sent from a page of another origin. If this page is of this origin, a proxy has changed "Host": let it pass that on, or let the application trust the proxy.',
    );
  }
}

/** Browsers say where a request comes from, but to `http://` addresses only by its origin. Other clients say neither. */
function isForeign(request: AnyRequest): boolean {
  const { 'sec-fetch-site': site, origin, host } = request.headers;
  if (site !== undefined) return site === 'cross-site' || site === 'same-site';
  if (origin === undefined) return false;
  return !(isOf(origin, host) || isOf(origin, request.host));
}

/** Ports that go without saying are left out on both sides. */
function isOf(origin: string, host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(origin)) return false;
  const from = new URL(origin);
  const here = `${from.protocol}//${host}`;
  return URL.canParse(here) && from.host !== '' && new URL(here).host === from.host;
}
