import { Controller, Delete, Get, HttpCode, Post, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { CacheService } from '../cache/cache.service.js';
import { Primary } from '../database/primary.js';
import { OperatorsGuard } from './operators.guard.js';

/** What operators, and drills, do to the parts of the application. */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OperatorsGuard)
@ApiResponse({ status: 401, description: 'Without the token.' })
@Controller('operations')
export class OperationsController {
  constructor(
    private readonly primary: Primary,
    private readonly cache: CacheService,
  ) {}

  @Get('database')
  @ApiOperation({ summary: 'Whether the database is connected' })
  database() {
    return { running: this.primary.isRunning };
  }

  @Post('database/stop')
  @HttpCode(200)
  @ApiOperation({ summary: 'Takes the database away; what is asked of it from then on fails' })
  async stop() {
    await this.primary.stop();
    return this.database();
  }

  @Post('database/start')
  @HttpCode(200)
  @ApiOperation({ summary: 'Brings it back, with all that it knew' })
  async start() {
    await this.primary.start();
    return this.database();
  }

  @Delete('cache')
  @HttpCode(204)
  @ApiOperation({ summary: 'Empties the cache' })
  async clearCache(): Promise<void> {
    await this.cache.clear();
  }
}
