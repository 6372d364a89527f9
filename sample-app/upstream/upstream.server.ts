// The outside service: a process of its own with an HTTP server, which misbehaves as it is told.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { REGIONS, type Region, type RegionState } from './faults.js';

const regions = Object.fromEntries(
  REGIONS.map((name) => [
    name,
    { faults: { failurePercent: 0, latencyMs: 0 }, counts: { requests: 0, failed: 0, abandoned: 0 } },
  ]),
) as Record<Region, RegionState>;
/** How often each `failFirst` request has been asked, by its id. */
const asked = new Map<string, number>();

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    if (!response.headersSent) reply(response, 500, { error: String(error) });
  });
});

/** `/faults/:region`, or `/:region/prices/:sku`. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://upstream');
  const [first = '', second = '', third = ''] = url.pathname.split('/').slice(1);
  if (first === 'faults') return answerFaults(regions[second as Region], request, response);
  return answerPrice(first as Region, decodeURIComponent(third), url, response);
}

async function answerPrice(
  region: Region,
  sku: string,
  { searchParams }: URL,
  response: ServerResponse,
): Promise<void> {
  const { faults, counts } = regions[region];
  counts.requests++;
  response.on('close', () => {
    if (!response.writableFinished) counts.abandoned++;
  });
  const latencyMs = Number(searchParams.get('delay') ?? faults.latencyMs);
  if (latencyMs > 0) await delay(latencyMs);
  if (fails(faults.failurePercent, searchParams)) {
    counts.failed++;
    reply(response, 503, { error: 'The upstream is unwell.' });
    return;
  }
  const source = region === 'primary' ? 'upstream' : region;
  if (sku === 'unknown') reply(response, 404, { error: `There is no price of "${sku}".` });
  else reply(response, 200, { sku, cents: 1_000 + ((sku.length * 137) % 900), source });
}

/** A request can ask for its own fate: `status=503`, or `failFirst=2&id=x`; else it shares everybody's. */
function fails(failurePercent: number, query: URLSearchParams): boolean {
  if (query.get('status') === '503') return true;
  const failFirst = query.get('failFirst');
  if (failFirst !== null) {
    const id = query.get('id') ?? '';
    const times = (asked.get(id) ?? 0) + 1;
    asked.set(id, times);
    return times <= Number(failFirst);
  }
  return Math.random() * 100 < failurePercent;
}

async function answerFaults(
  region: RegionState,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (request.method === 'PUT') {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    Object.assign(region.faults, JSON.parse(Buffer.concat(chunks).toString()));
  }
  reply(response, 200, region);
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
// The application has gone, however it went.
process.on('disconnect', () => process.exit(0));
// Ctrl+C reaches the whole group: the application says when to go.
process.on('SIGINT', () => undefined);
