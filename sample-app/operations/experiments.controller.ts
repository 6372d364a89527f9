import { Controller, Get, HttpCode, NotFoundException, Param, Post, UseGuards } from '@nestjs/common';
import { ApiBearerAuth, ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { ExperimentReport } from 'nestjs-breakwater';
import { ExperimentsService } from './experiments.service.js';
import { OperatorsGuard } from './operators.guard.js';

/** Experiments of chaos, by name; single faults are the admin routes' matter (`/resilience/chaos`). */
@ApiTags('operations')
@ApiBearerAuth()
@UseGuards(OperatorsGuard)
@Controller('operations/experiments')
export class ExperimentsController {
  constructor(private readonly experiments: ExperimentsService) {}

  @Get()
  @ApiOperation({ summary: 'The experiments that can be run' })
  list(): readonly string[] {
    return this.experiments.names;
  }

  @Post(':name')
  @HttpCode(200)
  @ApiOperation({ summary: 'Runs an experiment, and answers with its report' })
  @ApiResponse({ status: 404, description: 'There is none of that name.' })
  async run(@Param('name') name: string): Promise<ExperimentReport> {
    const report = await this.experiments.run(name);
    if (report === undefined) {
      throw new NotFoundException(
        `There is no experiment "${name}"; there are ${this.experiments.names.join(', ')}.`,
      );
    }
    return report;
  }
}
