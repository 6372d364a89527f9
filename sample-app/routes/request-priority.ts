import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import { Priority } from 'nestjs-breakwater';

const BY_NAME: Readonly<Record<string, Priority>> = {
  critical: Priority.CRITICAL,
  high: Priority.HIGH,
  normal: Priority.NORMAL,
  low: Priority.LOW,
  background: Priority.BACKGROUND,
};

/** How urgent the request is, by its header `X-Priority`; normal where that says nothing that we know. */
export const RequestPriority = createParamDecorator((_: unknown, context: ExecutionContext): Priority => {
  const { headers } = context.switchToHttp().getRequest<{ headers: Record<string, string | undefined> }>();
  return BY_NAME[headers['x-priority']?.toLowerCase() ?? ''] ?? Priority.NORMAL;
});
