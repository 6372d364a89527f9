import type { LoggerService } from '@nestjs/common';

/** A log that a test can read. */
export class RecordedLog implements LoggerService {
  readonly lines: string[] = [];

  log(message: unknown, ...rest: unknown[]): void {
    this.note(message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.note(message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.note(message, rest);
  }

  /** Nest's own lines are no concern of ours; the last parameter says who speaks. */
  private note(message: unknown, rest: readonly unknown[]): void {
    if (rest.at(-1) === 'DrainingService') this.lines.push(String(message));
  }
}
