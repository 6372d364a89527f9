import { Observable, type Observer, type Subscriber, type Subscription } from 'rxjs';
import { ListenerGuard } from '../../core/events.js';

type Subscribe<T> = (subscriber: Subscriber<T>) => (() => void) | void;

type ObserverOrNext<T> = Partial<Observer<T>> | ((value: T) => void) | null;

/**
 * An observable whose consumers cannot harm the application: what they throw is reported once, here and behind operators.
 * Rxjs would throw it again in a timer, where it ends the process.
 */
export class GuardedObservable<T> extends Observable<T> {
  constructor(
    private readonly report: (error: unknown) => void,
    subscribe?: Subscribe<T>,
  ) {
    super(subscribe);
  }

  /** What operators make of it is guarded as well. */
  override lift<R>(operator?: Parameters<Observable<T>['lift']>[0]): Observable<R> {
    const lifted = new GuardedObservable<R>(this.report);
    Object.assign(lifted, { source: this, operator });
    return lifted;
  }

  override subscribe(
    observerOrNext?: ObserverOrNext<T>,
    error?: ((error: unknown) => void) | null,
    complete?: (() => void) | null,
  ): Subscription {
    if (isSubscriber(observerOrNext)) return super.subscribe(observerOrNext);
    const observer =
      typeof observerOrNext === 'object' && observerOrNext !== null
        ? observerOrNext
        : { next: observerOrNext ?? undefined, error: error ?? undefined, complete: complete ?? undefined };
    const guard = new ListenerGuard(this.report);
    return super.subscribe({
      next: (value) => guard.call(() => observer.next?.(value)),
      // Of an operator's function that throws.
      error: (failure: unknown) => {
        if (observer.error) guard.call(() => observer.error?.(failure));
        else guard.fail(failure);
      },
      complete: () => guard.call(() => observer.complete?.()),
    });
  }
}

/** What operators and promises subscribe with: they pass failures on. */
function isSubscriber<T>(observer: ObserverOrNext<T> | undefined): observer is Subscriber<T> {
  return typeof observer === 'object' && observer !== null && 'add' in observer && 'closed' in observer;
}
