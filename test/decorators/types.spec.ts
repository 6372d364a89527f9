import { describe, expect, it } from '@jest/globals';
import { CircuitBreaker, Fallback, Resilient, Retry, Timeout } from 'nestjs-breakwater';
import { of, type Observable } from 'rxjs';

/**
 * What the compiler must refuse, and what it must take: `npm run typecheck` reads this file, and an error that is missing
 * is one. What is thrown at import as well is caught here.
 */
function refused(declare: () => unknown): void {
  expect(declare).toThrow(TypeError);
}

describe('what the compiler sees', () => {
  it('PL-07 refuses synchronous methods, accessors, properties and static methods', () => {
    refused(() => {
      class Service {
        // @ts-expect-error -- synchronous
        @Retry()
        add(a: number, b: number): number {
          return a + b;
        }
      }
      return Service;
    });
    refused(() => {
      class Service {
        // @ts-expect-error -- an arrow function in a property
        @CircuitBreaker()
        run = async (): Promise<void> => undefined;
      }
      return Service;
    });
    refused(() => {
      class Service {
        // @ts-expect-error -- a getter
        @Timeout('1s')
        get value(): number {
          return 1;
        }
      }
      return Service;
    });
    refused(() => {
      class Service {
        // @ts-expect-error -- generators answer more than once
        @Retry()
        async *pages(): AsyncGenerator<number> {
          yield 1;
        }
      }
      return Service;
    });
  });

  it('FB-04 checks the fallback against the method', () => {
    class Service {
      @Fallback('cached')
      async fine(id: number, note?: string): Promise<string> {
        return `${id} ${note}`;
      }
      async cached(id: number, note: string | undefined, error: Error): Promise<string> {
        return `${id} ${note} ${error.message}`;
      }

      @Fallback('fewer')
      async withFewer(id: number): Promise<string> {
        return `${id}`;
      }
      fewer(): string {
        return 'none';
      }

      @Fallback('watchCached')
      watch(): Observable<number> {
        return of(1);
      }
      watchCached(): Observable<number> {
        return of(0);
      }

      // @ts-expect-error -- there is no such method
      @Fallback('nowhere')
      async nowhereToGo(): Promise<string> {
        return 'x';
      }

      // @ts-expect-error -- it answers something else
      @Fallback('count')
      async wantsText(): Promise<string> {
        return 'x';
      }
      async count(): Promise<number> {
        return 1;
      }

      // @ts-expect-error -- it takes something else
      @Fallback('takesText')
      async takesNumber(id: number): Promise<string> {
        return `${id}`;
      }
      async takesText(text: string): Promise<string> {
        return text;
      }
    }
    expect(new Service()).toBeDefined();
  });

  it('refuses options that do not exist, and values of another type', () => {
    class Service {
      // @ts-expect-error -- misspelt
      @Retry({ maxRetry: 1 })
      async one(): Promise<void> {}
      // @ts-expect-error -- not a duration
      @Timeout({ duration: true })
      async two(): Promise<void> {}
      // @ts-expect-error -- no such place
      @Resilient({ order: ['breaker'] })
      async three(): Promise<void> {}
    }
    expect(new Service()).toBeDefined();
  });
});
