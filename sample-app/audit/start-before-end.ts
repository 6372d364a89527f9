import {
  ValidatorConstraint,
  type ValidationArguments,
  type ValidatorConstraintInterface,
} from 'class-validator';

@ValidatorConstraint({ name: 'startBeforeEnd' })
export class StartBeforeEnd implements ValidatorConstraintInterface {
  validate(end: unknown, { object }: ValidationArguments): boolean {
    const { start } = object as { start: unknown };
    // What is no time has been said already.
    return !(start instanceof Date && end instanceof Date) || start < end;
  }

  defaultMessage(): string {
    return 'start must be before end';
  }
}
