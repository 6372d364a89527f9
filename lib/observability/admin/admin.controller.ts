import type { ServerResponse } from 'node:http';
import {
  Body,
  Controller,
  Delete,
  ForbiddenException,
  Get,
  Header,
  Headers,
  HttpCode,
  Inject,
  Param,
  Patch,
  Post,
  Query,
  Req,
  Res,
  ServiceUnavailableException,
  UseGuards,
  VERSION_NEUTRAL,
  applyDecorators,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { OwnRoutes } from '../../core/own-routes.js';
import { DrainingService } from '../../draining/draining.service.js';
import { EventLog } from '../../module/events/event-log.js';
import type { AdminSettings } from './admin.options.js';
import { EventStreams } from './event-streams.js';
import { oneLine } from './operator.js';
import { PolicyControl } from './policy-control.js';
import { SameOriginGuard } from './same-origin.guard.js';

/** Express' response is Node's; Fastify's reply has it inside. */
type AnyResponse = ServerResponse & {
  readonly raw?: ServerResponse;
  hijack?(): void;
  getHeaders(): Record<string, number | string | string[] | undefined>;
};

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 10_000;

/** The controller that answers below the path of the settings. */
export function createAdminController(settings: AdminSettings): Type {
  const { path, readOnly, user } = settings;

  function operator(request: unknown): string {
    if (readOnly)
      throw new ForbiddenException('These routes are mounted with "readOnly": nothing can be changed.');
    return oneLine(user(request)) || 'unknown';
  }

  @OwnRoutes()
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(SameOriginGuard, ...settings.guards)
  class ResilienceAdminController {
    constructor(
      @Inject(PolicyControl) private readonly control: PolicyControl,
      @Inject(EventLog) private readonly log: EventLog,
      @Inject(EventStreams) private readonly streams: EventStreams,
      @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
      @Inject(DrainingService) draining: DrainingService,
    ) {
      // A drain does not wait for streams: it ends them.
      draining.alwaysServe(`${path}/events/stream`);
    }

    @Get()
    @Header('Cache-Control', 'no-store')
    overview() {
      return { ...this.control.overview(), readOnly };
    }

    @Get('events')
    events(
      @Headers('accept') accept: string | undefined,
      @Headers('last-event-id') lastEventId: string | undefined,
      @Query() query: Readonly<Record<string, unknown>>,
      @Req() request: { readonly method: string },
      @Res() response: AnyResponse,
    ): void {
      if (accept?.includes('text/event-stream')) return this.stream(lastEventId, query, request, response);
      const { httpAdapter } = this.host;
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      httpAdapter.reply(response, this.log.recent(limitOf(query, DEFAULT_LIMIT)), 200);
    }

    @Get('events/stream')
    stream(
      @Headers('last-event-id') lastEventId: string | undefined,
      @Query() query: Readonly<Record<string, unknown>>,
      @Req() { method }: { readonly method: string },
      @Res() response: AnyResponse,
    ): void {
      const { refusal } = this.streams;
      if (refusal !== undefined) {
        this.host.httpAdapter.setHeader(response, 'Retry-After', '1');
        throw new ServiceUnavailableException(refusal);
      }
      const after = lastEventId ?? (typeof query['after'] === 'string' ? query['after'] : undefined);
      const resumes = after !== undefined && after !== '';
      const { raw } = response;
      const headers = raw === undefined ? undefined : response.getHeaders();
      response.hijack?.();
      // Who only asks for the headers does not wait for events.
      if (method === 'HEAD') {
        (raw ?? response).setHeader('Content-Type', 'text/event-stream; charset=utf-8').end();
        return;
      }
      this.streams.open(raw ?? response, {
        after,
        limit: limitOf(query, resumes ? MAX_LIMIT : 0),
        withNumbers: query['stats'] === 'true',
        ...(headers && { headers }),
      });
    }

    @Get('chaos')
    @Header('Cache-Control', 'no-store')
    chaos() {
      return this.control.chaosOverview();
    }

    @Post('chaos/faults')
    startFault(@Body() body: unknown, @Req() request: unknown) {
      return this.control.startFault(body, operator(request));
    }

    @Delete('chaos/faults')
    clearFaults(@Req() request: unknown) {
      return this.control.clearFaults(operator(request));
    }

    @Delete('chaos/faults/:id')
    stopFault(@Param('id') id: string, @Req() request: unknown) {
      return this.control.stopFault(id, operator(request));
    }

    @Post('chaos/monkey/enable')
    @HttpCode(200)
    enableMonkey(@Req() request: unknown) {
      return this.control.switchMonkey(true, operator(request));
    }

    @Post('chaos/monkey/disable')
    @HttpCode(200)
    disableMonkey(@Req() request: unknown) {
      return this.control.switchMonkey(false, operator(request));
    }

    @Get(':kind')
    @Header('Cache-Control', 'no-store')
    ofKind(@Param('kind') kind: string) {
      return this.control.ofKind(kind);
    }

    @Get(':kind/:name')
    @Header('Cache-Control', 'no-store')
    one(@Param('kind') kind: string, @Param('name') name: string) {
      return this.control.one(kind, name);
    }

    @Patch(':kind/:name')
    change(
      @Param('kind') kind: string,
      @Param('name') name: string,
      @Body() body: unknown,
      @Req() request: unknown,
    ) {
      return this.control.change(kind, name, body, operator(request));
    }

    @Post(':kind/:name/:action')
    @HttpCode(200)
    act(
      @Param('kind') kind: string,
      @Param('name') name: string,
      @Param('action') action: string,
      @Body() body: unknown,
      @Req() request: unknown,
    ) {
      return this.control.act(kind, name, action, body, operator(request));
    }
  }
  applyDecorators(...settings.decorators)(ResilienceAdminController);
  return ResilienceAdminController;
}

function limitOf({ limit }: Readonly<Record<string, unknown>>, otherwise: number): number {
  const number = Number(limit);
  return limit !== undefined && Number.isInteger(number) && number >= 0
    ? Math.min(number, MAX_LIMIT)
    : otherwise;
}
