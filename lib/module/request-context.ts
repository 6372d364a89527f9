import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import type { RequestContextOptions } from './resilience.options.js';

type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What is known about the HTTP request that is being served. */
export interface RequestState {
  /** Node's own response, which Express and Fastify both have. */
  readonly response:
    { readonly headersSent: boolean; setHeader(name: string, value: string): unknown } | undefined;
  /** When its sender stops waiting, on the clock's scale; `undefined` where it did not say. */
  readonly deadline: number | undefined;
  /** The innermost protected call around the present one; none any more when its method has settled. */
  call: Call | undefined;
}

/**
 * One context per request, through all that it awaits: nested calls inherit the deadline of the call around them, and a
 * fallback anywhere below marks the answer. Off unless asked for.
 */
export class RequestContext {
  private readonly storage = new AsyncLocalStorage<RequestState>();
  private readonly header: string | undefined;

  constructor(
    private readonly clock: Clock,
    options: RequestContextOptions,
  ) {
    this.header = options.deadlineHeader?.toLowerCase();
  }

  /** Opens the context of a request. */
  open<T>(headers: RequestHeaders, response: RequestState['response'], run: () => T): T {
    return this.storage.run({ response, deadline: this.deadlineIn(headers), call: undefined }, run);
  }

  /** Runs a protected call's method, so that calls below know of it. */
  inside<T>(call: Call, run: () => T): T {
    const around = this.storage.getStore();
    const state: RequestState = { response: around?.response, deadline: around?.deadline, call };
    const result = this.storage.run(state, run);
    // What the method has left behind, such as work in the background, is no part of the call.
    const over = () => {
      state.call = undefined;
    };
    // Only promises are known to bear a second listener: a query may run once for each.
    if (result instanceof Promise) result.then(over, over);
    return result;
  }

  /** When the request and the protected call around the present one must be over, on the clock's scale. */
  get deadline(): number | undefined {
    const state = this.storage.getStore();
    if (state === undefined) return undefined;
    const { deadline, call } = state;
    if (call?.abortKind === 'timeout') return this.clock.now();
    return earliest(deadline, earliest(call?.deadline, call?.attemptDeadline));
  }

  /** Milliseconds until then, not below 0. */
  get remainingMs(): number | undefined {
    const { deadline } = this;
    return deadline === undefined ? undefined : Math.max(0, deadline - this.clock.now());
  }

  /** What tells the next service how long we wait for it. */
  deadlineHeaders(): Record<string, string> {
    const { header, remainingMs } = this;
    return header === undefined || remainingMs === undefined
      ? {}
      : { [header]: String(Math.floor(remainingMs)) };
  }

  /** Says on the request's answer that a fallback served it. */
  markDegraded(level: string): void {
    const response = this.storage.getStore()?.response;
    if (response === undefined || response.headersSent) return;
    response.setHeader('X-Degraded-Mode', 'true');
    response.setHeader('X-Degraded-Level', level);
  }

  /** What is no number of milliseconds says nothing. */
  private deadlineIn(headers: RequestHeaders): number | undefined {
    const given = this.header === undefined ? undefined : headers[this.header];
    if (typeof given !== 'string' || !/^\d{1,9}$/.test(given)) return undefined;
    return this.clock.now() + Number(given);
  }
}

function earliest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}
