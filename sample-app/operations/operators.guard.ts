import { createHash, timingSafeEqual } from 'node:crypto';
import {
  Inject,
  Injectable,
  UnauthorizedException,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { Settings } from '../settings/settings.js';
import { SETTINGS } from '../settings/settings.module.js';

/**
 * Lets in who has the token: programs as `Authorization: Bearer …`, and browsers, which ask for a name and a password, with
 * the token as the password.
 */
@Injectable()
export class OperatorsGuard implements CanActivate {
  constructor(
    private readonly host: HttpAdapterHost,
    @Inject(SETTINGS) private readonly settings: Settings,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const http = context.switchToHttp();
    const request = http.getRequest<{ headers: { authorization?: string }; user?: { name: string } }>();
    const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(' ');
    const decoded = /^basic$/i.test(scheme) ? Buffer.from(value, 'base64').toString() : `operator:${value}`;
    const colon = decoded.indexOf(':');
    if (areEqual(decoded.slice(colon + 1), this.settings.adminToken)) {
      request.user = { name: decoded.slice(0, colon) || 'operator' };
      return true;
    }
    this.host.httpAdapter.setHeader(http.getResponse(), 'WWW-Authenticate', 'Basic realm="Operators"');
    throw new UnauthorizedException();
  }
}

/** In a time that does not tell how much of it was right. */
function areEqual(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(one), digest(other));
}
