import { ApiPropertyOptional } from '@nestjs/swagger';
import { ArrayMaxSize, IsArray, IsNotEmpty, IsOptional, IsString, MaxLength } from 'class-validator';

/** What is said of a game day before it begins. */
export class GameDayDto {
  @ApiPropertyOptional({ type: [String], example: ['alice', 'bob'], description: 'Who takes part.' })
  @IsOptional()
  @IsArray()
  @ArrayMaxSize(50)
  @IsString({ each: true })
  @IsNotEmpty({ each: true })
  @MaxLength(100, { each: true })
  readonly participants?: readonly string[];
}
