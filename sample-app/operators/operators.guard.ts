import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { Injectable, UnauthorizedException, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

const given = process.env['ADMIN_TOKEN'];

/** What operators show: `ADMIN_TOKEN`, or another one at each start. */
export const adminToken = given === undefined || given === '' ? randomBytes(18).toString('base64url') : given;
export const isTokenRandom = adminToken !== given;

/**
 * Lets in who has the token: programs as `Authorization: Bearer …`, and browsers, which ask for a name and a password, with
 * the token as the password.
 */
@Injectable()
export class OperatorsGuard implements CanActivate {
  constructor(private readonly host: HttpAdapterHost) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<{ headers: { authorization?: string }; user?: { name: string } }>();
    const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(' ');
    const decoded = /^basic$/i.test(scheme) ? Buffer.from(value, 'base64').toString() : `operator:${value}`;
    const colon = decoded.indexOf(':');
    if (isToken(decoded.slice(colon + 1))) {
      request.user = { name: decoded.slice(0, colon) || 'operator' };
      return true;
    }
    this.host.httpAdapter.setHeader(http.getResponse(), 'WWW-Authenticate', 'Basic realm="Operators"');
    throw new UnauthorizedException();
  }
}

/** In a time that does not tell how much of it was right. */
function isToken(text: string): boolean {
  const digest = (one: string) => createHash('sha256').update(one).digest();
  return timingSafeEqual(digest(text), digest(adminToken));
}
