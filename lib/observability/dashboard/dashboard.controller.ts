import {
  Controller,
  Get,
  Inject,
  NotFoundException,
  Param,
  Req,
  Res,
  UseGuards,
  VERSION_NEUTRAL,
  applyDecorators,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { OwnRoutes } from '../../core/own-routes.js';
import { readAssets } from './assets.js';
import type { DashboardSettings } from './dashboard.options.js';
import { fillIn, pathsFrom } from './page.js';

/** Nothing from elsewhere, and nothing that is not a file of ours: what a policy is called cannot become code. */
const SECURITY_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
} as const;

/** The controller that answers with the page and its files. */
export function createDashboardController(settings: DashboardSettings): Type {
  const { path, adminPath, title } = settings;
  const { page, files, version } = readAssets();

  @OwnRoutes()
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(...settings.guards)
  class ResilienceDashboardController {
    constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

    @Get()
    page(
      @Req() request: { readonly originalUrl?: string; readonly url: string },
      @Res() response: unknown,
    ): void {
      const paths = pathsFrom(request.originalUrl ?? request.url, path, adminPath);
      const html = fillIn(page, { title, admin: paths.admin, files: `${paths.page}${version}` });
      this.answer(response, 'text/html; charset=utf-8', 'no-store', html);
    }

    /** A version in the path, so that a file may be kept as long as it is the same. */
    @Get(':version/:file')
    file(@Param('version') asked: string, @Param('file') name: string, @Res() response: unknown): void {
      const file = files.get(name);
      if (file === undefined)
        throw new NotFoundException(`The dashboard has no file ${JSON.stringify(name)}.`);
      const cache = asked === version ? 'private, max-age=31536000, immutable' : 'no-store';
      this.answer(response, file.type, cache, file.text);
    }

    private answer(response: unknown, type: string, cache: string, text: string): void {
      const { httpAdapter } = this.host;
      const headers = { ...SECURITY_HEADERS, 'Content-Type': type, 'Cache-Control': cache };
      for (const [name, value] of Object.entries(headers)) httpAdapter.setHeader(response, name, value);
      httpAdapter.reply(response, text, 200);
    }
  }
  applyDecorators(...settings.decorators)(ResilienceDashboardController);
  return ResilienceDashboardController;
}
