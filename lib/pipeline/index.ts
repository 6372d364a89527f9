export { DEFAULT_ORDER, completeOrder, orderProblems, type PipelineSlot } from './order.js';
export { Pipeline, type PipelinePolicy } from './pipeline.js';
