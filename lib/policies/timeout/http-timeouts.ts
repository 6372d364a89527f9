import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { causes, codeOf } from '../../core/classify.js';
import type { Clock } from '../../core/clock.js';
import { TimeoutExceededError } from '../../core/errors.js';
import { propertyOf } from '../../core/property.js';
import { watchConnections, type SocketLimits } from './http-agents.js';

/**
 * Which part of an HTTP request took too long: to connect (TLS included), to get the next bytes of the answer, or the
 * request as a whole. @publicApi
 */
export type TimeoutPhase = 'connect' | 'read' | 'request';

/** What undici's `Agent`, `Pool` and `Client` take. @publicApi */
export interface UndiciTimeouts {
  readonly connect: { readonly timeout: number };
  readonly headersTimeout: number;
  readonly bodyTimeout: number;
}

/** Node's agents, through which axios connects. @publicApi */
export interface NodeAgents {
  readonly httpAgent: HttpAgent;
  readonly httpsAgent: HttpsAgent;
}

/** What `axios.create()` and a request of axios take. @publicApi */
export interface AxiosTimeouts extends NodeAgents {
  readonly timeout: number;
  readonly transitional: { readonly clarifyTimeoutError: true };
}

const CONNECT_CODES: ReadonlySet<string> = new Set(['UND_ERR_CONNECT_TIMEOUT']);
const READ_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ESOCKETTIMEDOUT',
]);

/** Which part took too long, read from the error of an HTTP client; `undefined` for any other error. @publicApi */
export function timeoutPhaseOf(error: unknown): TimeoutPhase | undefined {
  for (const link of causes(error)) {
    const code = codeOf(link);
    if (link instanceof TimeoutExceededError) {
      return link.scope === 'connect' || link.scope === 'read' ? link.scope : 'request';
    }
    if (code === undefined) continue;
    if (CONNECT_CODES.has(code)) return 'connect';
    if (READ_CODES.has(code)) return 'read';
    // The operating system gave the connection up; axios says the same of its own `timeout`.
    if (code === 'ETIMEDOUT') return propertyOf(link, 'syscall') === undefined ? 'request' : 'connect';
  }
  return undefined;
}

/**
 * The three timeouts of an HTTP client, from one policy: `connect` for the connection, `read` for the wait between two
 * pieces of the answer, `request` for the whole. Its numbers are those of the moment: a client that was configured
 * before the policy's options changed keeps what it got.
 *
 * @example
 * const timeout = new TimeoutPolicy('stock', { connect: '3s', read: '30s', request: '60s' });
 * const dispatcher = new Agent(timeout.http.undici()); // of undici
 * const stock = await timeout.execute(({ signal }) => fetch(url, { signal, dispatcher }));
 *
 * @publicApi
 */
export class HttpTimeouts implements SocketLimits {
  /** @param limits - All in milliseconds. */
  constructor(
    readonly policy: string,
    private readonly limits: {
      readonly connectMs: number;
      readonly readMs: number;
      readonly requestMs: number;
    },
    private readonly clock: Clock,
  ) {}

  get connectMs(): number {
    return this.limits.connectMs;
  }

  get readMs(): number {
    return this.limits.readMs;
  }

  get requestMs(): number {
    return this.limits.requestMs;
  }

  /** Options of undici, whose `Agent` goes into `fetch(url, { dispatcher })`. The whole request is the policy's to end. */
  undici(): UndiciTimeouts {
    return {
      connect: { timeout: this.connectMs },
      headersTimeout: this.readMs,
      bodyTimeout: this.readMs,
    };
  }

  /**
   * Options of axios on Node.js.
   *
   * @param agents - New ones, for this client alone: from now on they bound connections by this policy.
   *
   * @example
   * const client = axios.create(
   *   timeout.http.axios({
   *     httpAgent: new http.Agent({ keepAlive: true }),
   *     httpsAgent: new https.Agent({ keepAlive: true }),
   *   }),
   * );
   */
  axios({ httpAgent, httpsAgent }: NodeAgents): AxiosTimeouts {
    return {
      timeout: this.requestMs,
      transitional: { clarifyTimeoutError: true },
      httpAgent: watchConnections(httpAgent, 'connect', this, this.clock),
      httpsAgent: watchConnections(httpsAgent, 'secureConnect', this, this.clock),
    };
  }
}
