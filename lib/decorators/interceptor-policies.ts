import type { ResilientOptions } from './policy.decorators.js';

/** What an interceptor can apply: all of `@Resilient` but methods of a class. @publicApi */
export type InterceptorPolicies = Omit<ResilientOptions, 'returns'>;
