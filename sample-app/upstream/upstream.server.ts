import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** How the upstream misbehaves for everybody; changed by `PUT /faults`. */
export interface Faults {
  /** How many answers of a hundred are 503. */
  failurePercent: number;
  /** How long every answer takes. */
  latencyMs: number;
}

/** What the upstream has seen since it started. */
export interface UpstreamCounts {
  requests: number;
  failed: number;
  /** Requests whose caller left before the answer. */
  abandoned: number;
}

const faults: Faults = { failurePercent: 0, latencyMs: 0 };
const counts: UpstreamCounts = { requests: 0, failed: 0, abandoned: 0 };
/** How often each `failFirst` request has been asked, by its id. */
const asked = new Map<string, number>();

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    if (!response.headersSent) reply(response, 500, { error: String(error) });
  });
});

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://upstream');
  if (url.pathname === '/faults') return answerFaults(request, response);
  counts.requests++;
  response.on('close', () => {
    if (!response.writableFinished) counts.abandoned++;
  });
  const latencyMs = Number(url.searchParams.get('delay') ?? faults.latencyMs);
  if (latencyMs > 0) await delay(latencyMs);
  if (fails(url)) {
    counts.failed++;
    reply(response, 503, { error: 'The upstream is unwell.' });
    return;
  }
  const sku = url.pathname.split('/').at(-1) ?? '';
  if (sku === 'unknown') reply(response, 404, { error: `There is no price of "${sku}".` });
  else reply(response, 200, { sku, cents: 1_000 + ((sku.length * 137) % 900), source: 'upstream' });
}

/** A request can ask for its own fate: `status=503`, or `failFirst=2&id=x`; else it shares everybody's. */
function fails(url: URL): boolean {
  if (url.searchParams.get('status') === '503') return true;
  const failFirst = url.searchParams.get('failFirst');
  if (failFirst !== null) {
    const id = url.searchParams.get('id') ?? '';
    const times = (asked.get(id) ?? 0) + 1;
    asked.set(id, times);
    return times <= Number(failFirst);
  }
  return Math.random() * 100 < faults.failurePercent;
}

async function answerFaults(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'PUT') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    Object.assign(faults, JSON.parse(Buffer.concat(chunks).toString()));
  }
  reply(response, 200, { faults, counts });
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
// The application has gone, however it went.
process.on('disconnect', () => process.exit(0));
// Ctrl+C reaches the whole group: the application says when to go.
process.on('SIGINT', () => undefined);
