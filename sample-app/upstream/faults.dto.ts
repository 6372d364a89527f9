import { ApiProperty } from '@nestjs/swagger';
import { IsNumber, IsOptional, Max, Min } from 'class-validator';
import type { Faults } from './faults.js';

/** What shall be different from now on; what is left out stays. */
export class FaultsDto implements Partial<Faults> {
  @ApiProperty({ minimum: 0, maximum: 100, required: false })
  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(100)
  readonly failurePercent?: number;

  @ApiProperty({ minimum: 0, maximum: 60_000, required: false })
  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(60_000)
  readonly latencyMs?: number;
}
