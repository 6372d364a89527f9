import type { ExecutionContext } from '@nestjs/common';
import type { Observable } from 'rxjs';
import type { RateLimitOptions } from '../policies/rate-limit/index.js';

/** A method that can be protected: it answers later. */
export type AsyncMethod = (...args: never[]) => PromiseLike<unknown> | Observable<unknown>;

type AnyClass = abstract new (...args: never[]) => unknown;

/**
 * Stands above a method that returns a `Promise` or an `Observable`; above a class it is the default for those of its
 * methods that carry any decorator of this package.
 */
export interface ResilienceDecorator {
  <T extends AsyncMethod>(
    target: object,
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<T>,
  ): TypedPropertyDescriptor<T> | void;
  <C extends AnyClass>(target: C): void;
}

/** Like {@link ResilienceDecorator}, for a class that has a method `Name` which can answer in the method's place. */
export interface FallbackDecorator<Name extends string> {
  <T extends AsyncMethod>(
    target: { [name in Name]: FallbackFor<T> },
    key: string | symbol,
    descriptor: TypedPropertyDescriptor<T>,
  ): TypedPropertyDescriptor<T> | void;
}

/** Takes what the method takes, and the error after it; answers what the method answers, now or later. */
export type FallbackFor<T extends AsyncMethod> = (
  ...argsAndError: [...Required<Parameters<T>>, never]
) => ReturnType<T> | AnswerOf<ReturnType<T>> | Promise<AnswerOf<ReturnType<T>>>;

type AnswerOf<R> = R extends PromiseLike<infer V> ? V : R extends Observable<infer V> ? V : never;

/** What every decorator takes beside its policy's own options. @publicApi */
export interface CommonOptions {
  /** Shares the policy, and its state, with all who use the name. Default: `Class.method`, shared with nobody. */
  readonly name?: string;
  /** Default true. */
  readonly enabled?: boolean;
  /** What the method returns, where its type annotation does not say. Default: `Observable` if annotated so. */
  readonly returns?: 'promise' | 'observable';
}

/** Options of `@RateLimit`, with what a guard knows of the request. @publicApi */
export interface RateLimitDecoratorOptions extends Omit<RateLimitOptions, 'by' | 'skip'> {
  /** A state of its own for each key of a request; applied once per request by a guard, outside everything. */
  readonly by?: (context: ExecutionContext) => string | undefined;
  /** With `by`: requests that are not limited. */
  readonly skip?: (context: ExecutionContext) => boolean;
}
