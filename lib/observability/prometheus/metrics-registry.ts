import { sharedSymbol } from '../../core/identity.js';

/** The registry that is served: inject it to add metrics of your own. @publicApi */
export const METRICS_REGISTRY = sharedSymbol('metrics-registry');
