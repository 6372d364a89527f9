import { AsyncResource, executionAsyncId } from 'node:async_hooks';

// Before Node 24 a promise's reaction only has an id where somebody follows asynchronous contexts; from then on contexts
// travel without ids, and nothing tells whether there is one.
const [major = 0] = process.versions.node.split('.').map(Number);
const ALWAYS = major >= 24;

/**
 * The asynchronous context of the present code (what `AsyncLocalStorage` and tracing see), to run something in it later,
 * from somebody else's turn. `undefined`, at the price of one look, where there is none to be lost.
 */
export function captureContext(): AsyncResource | undefined {
  return ALWAYS || executionAsyncId() !== 0 ? new AsyncResource('ResilienceWait') : undefined;
}

/** Runs `callback` in a context that was captured before. */
export function runInContext(context: AsyncResource | undefined, callback: () => void): void {
  if (context === undefined) callback();
  else context.runInAsyncScope(callback);
}
