import { BadRequestException, Body, Controller, Get, Put } from '@nestjs/common';
import { UpstreamClient } from './upstream.client.js';
import type { Faults } from './upstream.server.js';

const LIMITS: Readonly<Record<keyof Faults, number>> = { failurePercent: 100, latencyMs: 60_000 };

/** Makes the upstream ill and well again. */
@Controller('upstream')
export class UpstreamController {
  constructor(private readonly upstream: UpstreamClient) {}

  @Get()
  look() {
    return this.upstream.faults();
  }

  @Put()
  async change(@Body() body: unknown): Promise<Faults> {
    if (typeof body !== 'object' || body === null)
      throw new BadRequestException('The body must be a JSON object.');
    for (const [name, value] of Object.entries(body)) {
      const most = LIMITS[name as keyof Faults] as number | undefined;
      if (most === undefined) {
        throw new BadRequestException(
          `"${name}" is not known; there are ${Object.keys(LIMITS).join(' and ')}.`,
        );
      }
      if (typeof value !== 'number' || !(value >= 0 && value <= most)) {
        throw new BadRequestException(
          `"${name}" must be a number from 0 to ${most}, got ${JSON.stringify(value)}.`,
        );
      }
    }
    return (await this.upstream.faults(body)).faults;
  }
}
