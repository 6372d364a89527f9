import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from '../core/call.js';

/** What is known about the HTTP request that is being served. */
export interface RequestState {
  /** Node's own response, which Express and Fastify both have. */
  readonly response:
    { readonly headersSent: boolean; setHeader(name: string, value: string): unknown } | undefined;
  /** The innermost protected call around the present one. */
  readonly call: Call | undefined;
}

/**
 * One context per request, through all that it awaits: nested calls inherit the deadline of the call around them, and a
 * fallback anywhere below marks the answer. Off unless asked for.
 */
export class RequestContext {
  private readonly storage = new AsyncLocalStorage<RequestState>();

  /** Opens the context of a request. */
  open<T>(response: RequestState['response'], run: () => T): T {
    return this.storage.run({ response, call: undefined }, run);
  }

  /** Runs a protected call's method, so that calls below know of it. */
  inside<T>(call: Call, run: () => T): T {
    return this.storage.run({ response: this.storage.getStore()?.response, call }, run);
  }

  /** When the protected call around the present one must be over, on the clock's scale. */
  get deadline(): number | undefined {
    const call = this.storage.getStore()?.call;
    if (call === undefined) return undefined;
    const { deadline, attemptDeadline } = call;
    if (deadline === undefined || attemptDeadline === undefined) return deadline ?? attemptDeadline;
    return Math.min(deadline, attemptDeadline);
  }

  /** Says on the request's answer that a fallback served it. */
  markDegraded(level: string): void {
    const response = this.storage.getStore()?.response;
    if (response === undefined || response.headersSent) return;
    response.setHeader('X-Degraded-Mode', 'true');
    response.setHeader('X-Degraded-Level', level);
  }
}
