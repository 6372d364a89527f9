import { ValidationPipe } from '@nestjs/common';

/** Every problem of a body or a query at once, each with the name of its field; also fields that nobody knows. */
export function strictValidation(): ValidationPipe {
  return new ValidationPipe({ transform: true, whitelist: true, forbidNonWhitelisted: true });
}
