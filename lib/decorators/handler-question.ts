import type { ExecutionContext } from '@nestjs/common';

/** What is read of a request; Express and Fastify both have it. */
interface RequestLike {
  readonly method: string;
  readonly url: string;
  readonly originalUrl?: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body?: unknown;
  /** Of multer. */
  readonly file?: unknown;
  readonly files?: unknown;
}

/**
 * What a handler is asked, for comparing requests: over HTTP method, URL and body; else the handler, and what it is given
 * less what belongs to the connection.
 *
 * @throws TypeError where a request has a body that nobody has read.
 */
export function questionOf(context: ExecutionContext): unknown {
  const handler = [context.getClass().name, context.getHandler().name];
  switch (context.getType<string>()) {
    case 'http':
      return requestQuestion(context.switchToHttp().getRequest<RequestLike>());
    case 'ws':
      return [...handler, context.switchToWs().getData<unknown>()];
    case 'rpc':
      return [...handler, context.switchToRpc().getData<unknown>()];
    case 'graphql':
      // The root, and the arguments; then come the context and the query.
      return [...handler, ...context.getArgs().slice(0, 2)];
    default:
      return [...handler, ...context.getArgs()];
  }
}

function requestQuestion({
  method,
  url,
  originalUrl = url,
  headers,
  body,
  file,
  files,
}: RequestLike): unknown {
  const length = headers['content-length'] ?? '0';
  const hasBody = length !== '0' || headers['transfer-encoding'] !== undefined;
  if (hasBody && (body === undefined || body === null)) {
    const message = `Nobody has read the body of ${method} ${originalUrl} before the interceptor, so it cannot be compared with another one: parse it before, or give the idempotency a "fingerprint".`;
    throw new TypeError(message);
  }
  return [method, originalUrl, body, file, files];
}
