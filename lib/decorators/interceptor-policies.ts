import type { ResilientOptions } from './resilient.options.js';

/** What an interceptor can apply: all of `@Resilient` but methods of a class. @publicApi */
export type InterceptorPolicies = Omit<ResilientOptions, 'returns'>;
