import type { DiagnosedPipeline, Diagnosis } from './diagnose.js';
import type { Finding } from './finding.js';

/** A diagnosis for people: every pipeline, then what was found. */
export function report({ pipelines, findings }: Diagnosis): string {
  const shown = pipelines.map(showPipeline);
  const parts = [
    ...(shown.length === 0 ? ['No method of this application carries a policy.'] : shown),
    ...findings.map(showFinding),
    summary(pipelines, findings),
  ];
  return `${parts.join('\n\n')}\n`;
}

function showPipeline({ name, route, steps }: DiagnosedPipeline): string {
  const head = route === undefined ? name : `${name}  ${route}`;
  if (steps.length === 0) return `${head}\n  (nothing)`;
  const slots = steps.map(({ slot, by, kind }) =>
    slot === 'guard' ? `(guard) ${kind}` : by === 'interceptor' ? `(interceptor) ${slot}` : slot,
  );
  const width = Math.max(...slots.map(({ length }) => length));
  const lines = steps.map(({ policy, description }, index) => {
    const does = description === '' ? '' : `: ${description}`;
    return `  ${(slots[index] as string).padEnd(width)}  "${policy}"${does}`;
  });
  return [head, ...lines].join('\n');
}

function showFinding({ severity, code, where, message, advice }: Finding): string {
  return `${severity} ${code}: ${where}\n  ${message}\n  → ${advice}`;
}

function summary(pipelines: Diagnosis['pipelines'], findings: readonly Finding[]): string {
  const looked = count(pipelines.length, 'pipeline');
  if (findings.length === 0) return `${looked}: nothing found.`;
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  const found = [
    ...(errors > 0 ? [count(errors, 'error')] : []),
    ...(warnings > 0 ? [count(warnings, 'warning')] : []),
  ];
  return `${looked}: ${found.join(', ')}.`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
