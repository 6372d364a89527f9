import { ApiProperty, IntersectionType } from '@nestjs/swagger';
import { Transform, Type } from 'class-transformer';
import { IsDate, IsIn, IsInt, Max, Min, Validate } from 'class-validator';
import { RouteKeyDto } from '../routes/route.dto.js';
import { IsoTime } from '../validation/iso-time.js';
import { AUDIT_ACTIONS, type AuditAction } from './audit-entry.js';
import { StartBeforeEnd } from './start-before-end.js';

class LimitDto {
  @ApiProperty({ minimum: 1, maximum: 1_000, default: 100, required: false })
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(1_000)
  readonly limit: number = 100;
}

/** How far back, and how many at most. */
export class RecentDto extends LimitDto {
  @ApiProperty({ minimum: 1, maximum: 365, default: 30, required: false })
  @Type(() => Number)
  @IsInt()
  @Min(1)
  @Max(365)
  readonly days: number = 30;
}

export class OfRouteDto extends IntersectionType(RecentDto, RouteKeyDto) {}

export class OfActionDto extends RecentDto {
  @ApiProperty({ enum: AUDIT_ACTIONS })
  @IsIn(AUDIT_ACTIONS)
  readonly action!: AuditAction;
}

/** An interval: its start is in it, its end is not. */
export class TimeRangeDto extends LimitDto {
  @ApiProperty({ type: String, format: 'date-time' })
  @Transform(IsoTime)
  @IsDate({ message: 'start must be a time in ISO 8601, such as 2026-01-31T12:00:00Z' })
  readonly start!: Date;

  @ApiProperty({ type: String, format: 'date-time' })
  @Transform(IsoTime)
  @IsDate({ message: 'end must be a time in ISO 8601, such as 2026-01-31T12:00:00Z' })
  @Validate(StartBeforeEnd)
  readonly end!: Date;
}
