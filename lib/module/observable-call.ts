import { Subject, Subscription, isObservable, takeUntil, type Observable, type Subscriber } from 'rxjs';
import type { AbortListener, Call } from '../core/call.js';
import type { Clock } from '../core/clock.js';
import { runCall } from '../core/execute.js';
import type { Pipeline } from '../pipeline/index.js';
import type { RequestContext } from './request-context.js';

/**
 * Runs a method that returns an observable: the subscription is the call. To the pipeline it is a promise of the last
 * value; meanwhile every value goes straight to the subscriber. After the first one nothing can be repeated or
 * replaced any more, so errors pass through. Who unsubscribes before the first value aborts the call; who has got one,
 * as `firstValueFrom` does, has been answered, and ends it well.
 */
export function runObservable(
  pipeline: Pipeline,
  clock: Clock,
  call: Call,
  subscriber: Subscriber<unknown>,
  context: RequestContext | undefined,
): void {
  /** Whether an observable has completed without a value, and is the answer unless something takes its place. */
  let wasEmpty = false;
  let over = false;
  // Before anything runs: a subscriber may leave while the first values are still being sent.
  subscriber.add(() => {
    if (!over && !call.emitted) call.abort('caller', subscriberGone());
  });
  call.cancellable = true;
  call.adapt = (inner, result) => {
    wasEmpty = false;
    if (!isObservable(result)) return result;
    const run = () => stream(result, inner, subscriber, () => (wasEmpty = true));
    return context === undefined ? run() : context.inside(inner, run);
  };
  Promise.resolve(start(pipeline, clock, call)).then(
    (value) => {
      over = true;
      if (call.fallbackLevel !== undefined) context?.markDegraded(call.fallbackLevel);
      if (!call.emitted && !(wasEmpty && value === undefined)) subscriber.next(value);
      subscriber.complete();
    },
    (error: unknown) => {
      over = true;
      subscriber.error(error);
    },
  );
}

function subscriberGone(): DOMException {
  return new DOMException('The subscriber has gone.', 'AbortError');
}

async function start(pipeline: Pipeline, clock: Clock, call: Call): Promise<unknown> {
  return runCall(call, clock, pipeline.run);
}

/** Sends an observable's values on, and promises the last one. An abort unsubscribes, and so does who has got enough. */
function stream(
  source: Observable<unknown>,
  call: Call,
  subscriber: Subscriber<unknown>,
  foundEmpty: () => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let last: unknown;
    let hasEmitted = false;
    // What a user's observable fails with is passed on as it is, an error or not.
    const fail: (reason: unknown) => void = reject;
    // Stops the source even where it sends everything at once, before there is anything to unsubscribe from.
    const stopped = new Subject<void>();
    const aborted: AbortListener = {
      onAbort() {
        subscriber.remove(left);
        // Whoever waits for the method to settle, such as a bulkhead, has waited long enough.
        fail(call.abortReason);
        stopped.next();
      },
    };
    call.onAbortAdd(aborted);
    const left = new Subscription(() => {
      if (!hasEmitted) return;
      end();
      resolve(last);
      stopped.next();
      call.abortSignal(subscriberGone());
    });
    subscriber.add(left);
    const end = () => {
      call.onAbortRemove(aborted);
      subscriber.remove(left);
    };
    source.pipe(takeUntil(stopped)).subscribe({
      next(value) {
        last = value;
        hasEmitted = true;
        for (let link: Call | undefined = call; link !== undefined; link = link.parent) link.emitted = true;
        subscriber.next(value);
      },
      error(error: unknown) {
        end();
        fail(error);
      },
      complete() {
        end();
        if (!hasEmitted) foundEmpty();
        resolve(last);
      },
    });
  });
}
