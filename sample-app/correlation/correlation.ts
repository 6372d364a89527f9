import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';

const HEADER = 'x-correlation-id';
/** What may go into logs and headers as it came. */
const WELL_FORMED = /^[\w.:-]{1,100}$/;

/** Gives every request an id, the caller's own where there is one, and says it in the answer. */
export function correlate(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const given = request.headers[HEADER];
  const id = typeof given === 'string' && WELL_FORMED.test(given) ? given : randomUUID();
  request.headers[HEADER] = id;
  response.setHeader('X-Correlation-Id', id);
  next();
}

/** The id of the request, for the parameters of handlers. */
export const CorrelationId = createParamDecorator((_: unknown, context: ExecutionContext): string => {
  const { headers } = context.switchToHttp().getRequest<IncomingMessage>();
  return headers[HEADER] as string;
});
