import { Controller, Get, Query, UseInterceptors } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { UnavailableInterceptor } from '../database/unavailable.interceptor.js';
import type { AuditEntry } from './audit-entry.js';
import { OfActionDto, OfRouteDto, RecentDto, TimeRangeDto } from './audit.dto.js';
import { AuditService } from './audit.service.js';

const DAY_MS = 24 * 60 * 60 * 1_000;

interface Entries {
  readonly count: number;
  readonly entries: readonly AuditEntry[];
}

/** What happened to routes, newest first. */
@ApiTags('audit')
@Controller('api/v1/audit')
@UseInterceptors(UnavailableInterceptor)
@ApiResponse({ status: 400, description: 'The message names each parameter that cannot be.' })
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get('route')
  @ApiOperation({ summary: 'The history of a route' })
  async ofRoute(@Query() { days, limit, ...route }: OfRouteDto): Promise<Entries> {
    return counted(await this.audit.ofRoute(route, daysAgo(days), limit));
  }

  @Get('recent')
  @ApiOperation({ summary: 'What happened lately' })
  async recent(@Query() { days, limit }: RecentDto): Promise<Entries> {
    return counted(await this.audit.recent(daysAgo(days), limit));
  }

  @Get('action')
  @ApiOperation({ summary: 'What happened of one kind' })
  async ofAction(@Query() { action, days, limit }: OfActionDto): Promise<Entries> {
    return counted(await this.audit.ofAction(action, daysAgo(days), limit));
  }

  @Get('time-range')
  @ApiOperation({ summary: 'What happened from `start` up to `end`' })
  async between(@Query() { start, end, limit }: TimeRangeDto): Promise<Entries> {
    return counted(await this.audit.between(start, end, limit));
  }
}

function counted(entries: readonly AuditEntry[]): Entries {
  return { count: entries.length, entries };
}

function daysAgo(days: number): Date {
  return new Date(Date.now() - days * DAY_MS);
}
