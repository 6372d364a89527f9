import { Body, Controller, Get, HttpCode, Post, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { GameDayReport } from 'nestjs-breakwater';
import { ExperimentsService } from './experiments.service.js';
import { GameDayDto } from './game-day.dto.js';
import { OperatorsGuard } from './operators.guard.js';

/** All experiments by one runbook, with one report. */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OperatorsGuard)
@ApiResponse({ status: 401, description: 'Without the token.' })
@Controller('operations/game-days')
export class GameDayController {
  constructor(private readonly experiments: ExperimentsService) {}

  @Get()
  @ApiOperation({ summary: 'The reports of the game days that there were, the latest last' })
  list(): readonly GameDayReport[] {
    return this.experiments.gameDays();
  }

  @Post()
  @HttpCode(200)
  @ApiOperation({ summary: 'Plays a game day, and answers with its report' })
  play(@Body() { participants = [] }: GameDayDto): Promise<GameDayReport> {
    return this.experiments.playGameDay(participants);
  }
}
