import {
  Body,
  ConflictException,
  Controller,
  Get,
  Headers,
  HttpCode,
  NotFoundException,
  Post,
  Query,
  UseInterceptors,
} from '@nestjs/common';
import { ApiHeader, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { Priority } from 'nestjs-breakwater';
import { CorrelationId } from '../correlation/correlation.js';
import { UnavailableInterceptor } from '../database/unavailable.interceptor.js';
import { RequestPriority } from './request-priority.js';
import { NewRouteDto, ResolvedRouteDto, RouteKeyDto } from './route.dto.js';
import { keyOf, routeName, type ResolvedRoute, type Route, type RouteKey } from './route.js';
import { registrationId, RouteRegistryService } from './route-registry.service.js';
import { RouteResolverService } from './route-resolver.service.js';

/** The registry over HTTP. */
@ApiTags('routes')
@Controller('api/v1/routes')
@UseInterceptors(UnavailableInterceptor)
@ApiResponse({ status: 400, description: 'The message names each field that cannot be.' })
@ApiResponse({ status: 503, description: 'The database is away, too many ask, or the application drains.' })
export class RoutesController {
  constructor(
    private readonly resolver: RouteResolverService,
    private readonly registry: RouteRegistryService,
  ) {}

  @Get('resolve')
  @ApiOperation({ summary: 'Where requests go' })
  @ApiHeader({
    name: 'X-Priority',
    required: false,
    enum: ['critical', 'high', 'normal', 'low', 'background'],
  })
  @ApiResponse({ status: 200, type: ResolvedRouteDto })
  @ApiResponse({ status: 404, description: 'There is no such route, or it is switched off.' })
  resolve(@Query() key: RouteKeyDto, @RequestPriority() priority: Priority): Promise<ResolvedRoute> {
    return this.resolver.resolve(key, priority);
  }

  @Post()
  @ApiOperation({ summary: 'Registers a route' })
  @ApiHeader({ name: 'Idempotency-Key', required: false, description: 'Makes repetitions harmless.' })
  @ApiResponse({ status: 201 })
  @ApiResponse({ status: 409, description: 'The key is taken.' })
  async create(
    @Body() body: NewRouteDto,
    @CorrelationId() correlationId: string,
    @Headers('idempotency-key') idempotencyKey?: string,
  ): Promise<Route> {
    const id = registrationId(body.tenant, idempotencyKey);
    const asked = { ...keyOf(body), url: body.url };
    const route = await this.registry.register(asked, { id, idempotencyKey, correlationId });
    if (route.id !== id) throw new ConflictException(`There is already a route ${routeName(body)}.`);
    return route;
  }

  @Post('activate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Switches a route on' })
  @ApiResponse({ status: 404, description: 'There is no such route.' })
  activate(@Body() key: RouteKeyDto, @CorrelationId() correlationId: string): Promise<Route> {
    return this.switch(key, 'activated', correlationId);
  }

  @Post('deactivate')
  @HttpCode(200)
  @ApiOperation({ summary: 'Switches a route off' })
  @ApiResponse({ status: 404, description: 'There is no such route.' })
  deactivate(@Body() key: RouteKeyDto, @CorrelationId() correlationId: string): Promise<Route> {
    return this.switch(key, 'deactivated', correlationId);
  }

  private async switch(
    key: RouteKey,
    action: 'activated' | 'deactivated',
    correlationId: string,
  ): Promise<Route> {
    const route = await this.registry.switch(key, action, { correlationId });
    if (route === undefined) throw new NotFoundException(`There is no route ${routeName(key)}.`);
    return route;
  }
}
