import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { causes, codeOf } from '../../core/classify.js';
import type { Clock } from '../../core/clock.js';
import { TimeoutExceededError } from '../../core/errors.js';
import { refuseProblems } from '../../core/option-table.js';
import { propertyOf } from '../../core/property.js';
import { agentProblems, watchConnections, type SocketLimits } from './http-agents.js';

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
  /** `request`; where the policy bounds attempts by as much itself, a second more. axios counts it anew with each byte. */
  readonly timeout: number;
  readonly transitional: { readonly clarifyTimeoutError: true };
}

const CONNECT_CODES: ReadonlySet<string> = new Set(['UND_ERR_CONNECT_TIMEOUT']);
const READ_CODES: ReadonlySet<string> = new Set([
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT',
  'ESOCKETTIMEDOUT',
]);

/**
 * By how much a client's own timer comes after the policy's: where both are due at once, either may be first, and only the
 * policy's aborts the signal and says whose time was over.
 */
const BEHIND_POLICY_MS = 1_000;

/** Which part took too long, read from the error of an HTTP client; `undefined` for any other error. @publicApi */
export function timeoutPhaseOf(error: unknown): TimeoutPhase | undefined {
  let phase: TimeoutPhase | undefined;
  for (const link of causes(error)) {
    const code = codeOf(link);
    if (link instanceof TimeoutExceededError) {
      return link.scope === 'connect' || link.scope === 'read' ? link.scope : 'request';
    }
    if (code === undefined) continue;
    if (CONNECT_CODES.has(code)) return 'connect';
    if (READ_CODES.has(code)) return 'read';
    if (code !== 'ETIMEDOUT') continue;
    if (isOfSystem(link)) return 'connect';
    // axios says so of its own `timeout`, and of any cause with that code.
    phase = 'request';
  }
  return phase;
}

/** What an HTTP client of a policy ran out of; `undefined` where another policy, or this one itself, ended the attempt. */
export function clientPhaseOf(error: unknown, policy: string): TimeoutPhase | undefined {
  const phase = timeoutPhaseOf(error);
  const ended = causes(error).find((link) => link instanceof TimeoutExceededError);
  if (ended === undefined) return phase;
  return ended.policy === policy && phase !== 'request' ? phase : undefined;
}

/** Whether the operating system gave a connection up, or those to all addresses of a host. */
function isOfSystem(error: unknown): boolean {
  if (propertyOf(error, 'syscall') !== undefined) return true;
  const errors = propertyOf(error, 'errors');
  return (
    Array.isArray(errors) &&
    errors.some((each) => codeOf(each) === 'ETIMEDOUT' && propertyOf(each, 'syscall') !== undefined)
  );
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
      /** What the policy itself bounds an attempt to, at most; `undefined` where it does not. */
      readonly attemptMs: number | undefined;
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
   * @param agents - New ones, for this client alone: from now on they bound connections by this policy. One that connects
   * before it gives a socket out, as those of proxies do, bounds that itself.
   * @throws {@link InvalidOptionsError} for agents that are not built on Node's, such as those of agent-base before 7.
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
    const where = `timeout "${this.policy}"`;
    refuseProblems([
      ...agentProblems(httpAgent, 'httpAgent', where),
      ...agentProblems(httpsAgent, 'httpsAgent', where),
    ]);
    for (const agent of new Set<HttpAgent>([httpAgent, httpsAgent])) {
      watchConnections(agent, this, this.clock);
    }
    return {
      timeout: this.axiosMs,
      transitional: { clarifyTimeoutError: true },
      httpAgent,
      httpsAgent,
    };
  }

  private get axiosMs(): number {
    const { requestMs, attemptMs } = this.limits;
    // The policy lets an attempt go on: axios alone bounds the request.
    if (attemptMs === undefined || attemptMs > requestMs) return requestMs;
    return Math.max(requestMs, attemptMs + BEHIND_POLICY_MS);
  }
}
