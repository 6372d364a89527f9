import { HttpStatus, type Provider, type Type } from '@nestjs/common';
import { sharedSymbol } from '../../core/identity.js';
import { BREAKER_ACTIONS } from './operator.js';
import { PLURALS } from './policy-kind.js';

type Swagger = typeof import('@nestjs/swagger');

interface Route {
  readonly summary: string;
  readonly query?: readonly {
    readonly name: string;
    readonly type: 'integer' | 'string' | 'boolean';
    readonly description: string;
  }[];
  readonly body?: { readonly required: boolean; readonly schema: object };
  readonly answers: Readonly<Record<number, string>>;
  /** Whether it answers with a stream. */
  readonly stream?: true;
  /** Whether it changes something. */
  readonly changes?: true;
}

const limit = {
  name: 'limit',
  type: 'integer',
  description: 'How many events at most, the newest.',
} as const;
const after = {
  name: 'after',
  type: 'string',
  description: 'The id of the last message that was seen, as in `Last-Event-ID`.',
} as const;
const stats = {
  name: 'stats',
  type: 'boolean',
  description: 'Whether the numbers of everything are sent once a second.',
} as const;
const anyOptions = { type: 'object', additionalProperties: true } as const;
const UNKNOWN = 'No such kind, name or action; the message names what is near.';
const INVALID = 'The body cannot be; `problems` names everything that is wrong with it. Nothing has changed.';

/** All routes, by the controller's methods. */
const ROUTES: Readonly<Record<string, Route>> = {
  overview: { summary: 'The numbers of everything', answers: { 200: 'By kind and name.' } },
  ofKind: { summary: 'The numbers of a kind', answers: { 200: 'By name.', 404: UNKNOWN } },
  one: { summary: 'One policy', answers: { 200: 'What it is set to do, and its numbers.', 404: UNKNOWN } },
  events: {
    summary: 'The last events; with `Accept: text/event-stream` a stream',
    query: [limit, after, stats],
    answers: { 200: 'Oldest first.' },
  },
  stream: {
    summary: 'Events as they happen, as Server-Sent Events',
    query: [limit, after, stats],
    answers: {
      200: 'Messages `event` and, if asked for, `stats`.',
      503: 'Too many streams, or the application is shutting down.',
    },
    stream: true,
  },
  act: {
    summary: 'Resets a policy, or tells a circuit breaker what to do',
    body: {
      required: false,
      schema: { type: 'object', properties: { reason: { type: 'string', maxLength: 200 } } },
    },
    answers: { 200: 'The policy as it is now.', 400: INVALID, 404: UNKNOWN },
    changes: true,
  },
  change: {
    summary: 'Changes options of a policy, keeping its state',
    body: { required: true, schema: anyOptions },
    answers: { 200: 'The policy as it is now.', 400: INVALID, 404: UNKNOWN },
    changes: true,
  },
  chaos: { summary: 'Chaos: numbers, active faults, targets', answers: { 200: 'Now.' } },
  startFault: {
    summary: 'Starts a fault',
    body: { required: true, schema: { ...anyOptions, required: ['target'] } },
    answers: { 201: 'The fault.', 400: INVALID },
    changes: true,
  },
  clearFaults: { summary: 'Ends all faults', answers: { 200: 'How many there were.' }, changes: true },
  stopFault: { summary: 'Ends a fault', answers: { 200: 'The fault.', 404: UNKNOWN }, changes: true },
  enableMonkey: {
    summary: 'Lets the chaos monkey come',
    answers: { 200: 'Chaos as it is now.', 400: INVALID },
    changes: true,
  },
  disableMonkey: {
    summary: 'Sends the chaos monkey away',
    answers: { 200: 'Chaos as it is now.' },
    changes: true,
  },
};

/** An application that is made again, as in tests, has the same controller. */
const described = new WeakSet<Type>();

/** Describes the controller for OpenAPI, where the application has `@nestjs/swagger`; loaded before the first document. */
export function openApiProvider(controller: Type): Provider {
  return {
    provide: sharedSymbol('admin-open-api'),
    useFactory: async () => {
      let swagger: Swagger;
      try {
        swagger = await import('@nestjs/swagger');
      } catch {
        return false;
      }
      if (!described.has(controller)) describeRoutes(swagger, controller);
      described.add(controller);
      return true;
    },
  };
}

function describeRoutes(swagger: Swagger, controller: Type): void {
  const { ApiTags, ApiOperation, ApiParam, ApiProduces } = swagger;
  ApiTags('resilience')(controller);
  const prototype = controller.prototype as object;
  for (const [name, route] of Object.entries(ROUTES)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name) as PropertyDescriptor;
    const add = (decorator: MethodDecorator) => decorator(prototype, name, descriptor);
    add(ApiOperation({ summary: route.summary }));
    if (['ofKind', 'one', 'change', 'act'].includes(name))
      add(ApiParam({ name: 'kind', enum: PLURALS as string[] }));
    if (['one', 'change', 'act'].includes(name)) add(ApiParam({ name: 'name', type: String }));
    if (name === 'act') add(ApiParam({ name: 'action', enum: ['reset', ...BREAKER_ACTIONS] }));
    if (name === 'stopFault') add(ApiParam({ name: 'id', type: String }));
    if (route.stream) add(ApiProduces('text/event-stream'));
    describeInput(swagger, route, add);
    describeAnswers(swagger, route, add);
  }
}

function describeInput(
  { ApiBody, ApiQuery }: Swagger,
  route: Route,
  add: (one: MethodDecorator) => void,
): void {
  for (const { name, type, description } of route.query ?? [])
    add(ApiQuery({ name, description, required: false, schema: { type } }));
  if (route.body) add(ApiBody(route.body));
}

function describeAnswers({ ApiResponse }: Swagger, route: Route, add: (one: MethodDecorator) => void): void {
  for (const [status, description] of Object.entries(route.answers))
    add(ApiResponse({ status: Number(status), description }));
  if (route.changes)
    add(ApiResponse({ status: HttpStatus.FORBIDDEN, description: 'Not allowed, or read-only.' }));
}
