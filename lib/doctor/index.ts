export { diagnose, type DiagnosedPipeline, type DiagnosedStep, type Diagnosis } from './diagnose.js';
export type { Finding, FindingCode } from './finding.js';
