import { Subject, isObservable, takeUntil, type Observable, type Subscriber } from 'rxjs';
import type { AbortListener, Call } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { runCall } from '../core/execute.js';
import type { Pipeline } from '../pipeline/index.js';
import type { RequestContext } from './request-context.js';

/**
 * Runs a method that returns an observable: the subscription is the call. To the pipeline it is a promise of the last
 * value; meanwhile every value goes straight to the subscriber. After the first one nothing can be repeated or
 * replaced any more, so errors pass through. Unsubscribing aborts the call.
 */
export function runObservable(
  pipeline: Pipeline,
  clock: Clock,
  call: Call,
  subscriber: Subscriber<unknown>,
  context: RequestContext | undefined,
): void {
  /** Whether what the pipeline answered has reached the subscriber already. */
  let streamed = false;
  let over = false;
  // Before anything runs: a subscriber may leave while the first values are still being sent.
  subscriber.add(() => {
    if (!over) call.abort('caller', new DOMException('The subscriber has gone.', 'AbortError'));
  });
  call.cancellable = true;
  call.adapt = (inner, result) => {
    streamed = isObservable(result);
    if (!isObservable(result)) return result;
    const run = () => stream(result, inner, subscriber);
    return context === undefined ? run() : context.inside(inner, run);
  };
  Promise.resolve(start(pipeline, clock, call)).then(
    (value) => {
      over = true;
      if (call.fallbackLevel !== undefined) context?.markDegraded(call.fallbackLevel);
      if (!streamed) subscriber.next(value);
      subscriber.complete();
    },
    (error: unknown) => {
      over = true;
      subscriber.error(error);
    },
  );
}

async function start(pipeline: Pipeline, clock: Clock, call: Call): Promise<unknown> {
  return runCall(call, clock, pipeline.run);
}

/** Sends an observable's values on, and promises the last one. An abort unsubscribes. */
function stream(source: Observable<unknown>, call: Call, subscriber: Subscriber<unknown>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let last: unknown;
    // What a user's observable fails with is passed on as it is, an error or not.
    const fail: (reason: unknown) => void = reject;
    // Stops the source even where it sends everything at once, before there is anything to unsubscribe from.
    const stopped = new Subject<void>();
    const aborted: AbortListener = {
      onAbort() {
        // Whoever waits for the method to settle, such as a bulkhead, has waited long enough.
        fail(call.abortReason);
        stopped.next();
      },
    };
    call.onAbortAdd(aborted);
    source.pipe(takeUntil(stopped)).subscribe({
      next(value) {
        last = value;
        for (let link: Call | undefined = call; link !== undefined; link = link.parent) link.emitted = true;
        subscriber.next(value);
      },
      error(error: unknown) {
        call.onAbortRemove(aborted);
        fail(error);
      },
      complete() {
        call.onAbortRemove(aborted);
        resolve(last);
      },
    });
  });
}
