import type { INestApplicationContext } from '@nestjs/common';
import type { PolicyKind } from '../core/policy.js';
import type { PipelineSlot } from '../pipeline/index.js';
import type { Layer, ProtectedCode } from './application.js';
import { CHECKS } from './checks/index.js';
import { describeApplication } from './describe-application.js';
import type { Finding } from './finding.js';

/** One policy of a pipeline. @publicApi */
export interface DiagnosedStep {
  /** Its place; `guard` for a limit that applies once per request, before everything. */
  readonly slot: PipelineSlot | 'guard';
  readonly kind: PolicyKind;
  readonly policy: string;
  /** What it is set to do. */
  readonly description: string;
  /** Who asked for it: decorators of the method or its class, an interceptor in front of it, or `pipeline()`. */
  readonly by: 'decorators' | 'interceptor' | 'function';
}

/** All that runs around a method, a handler or a plain function. @publicApi */
export interface DiagnosedPipeline {
  /** `PaymentsController.pay`. */
  readonly name: string;
  /** `POST /payments`, where it answers HTTP requests; of several paths the first, without a global prefix. */
  readonly route: string | undefined;
  /** Outermost first. */
  readonly steps: readonly DiagnosedStep[];
}

/** What {@link diagnose} has found. It can be written as JSON. @publicApi */
export interface Diagnosis {
  /** Those of HTTP handlers first. */
  readonly pipelines: readonly DiagnosedPipeline[];
  /** Errors first. */
  readonly findings: readonly Finding[];
}

/**
 * Looks at the policies of an application as a whole: every pipeline with its numbers, and what will hurt. Nothing is
 * called and nothing changes. The application need not have been initialised.
 *
 * @throws Error where the application does not import `ResilienceModule`.
 * @throws `InvalidOptionsError` with every problem that its start would refuse as well.
 *
 * @example
 * const app = await NestFactory.create(AppModule, { logger: false });
 * expect(diagnose(app).findings).toEqual([]);
 *
 * @publicApi
 */
export function diagnose(app: INestApplicationContext): Diagnosis {
  const application = describeApplication(app);
  const findings = CHECKS.flatMap((check) => check(application));
  return {
    pipelines: handlersFirst(application.protected).map(diagnosed),
    findings: [
      ...findings.filter(({ severity }) => severity === 'error'),
      ...findings.filter(({ severity }) => severity === 'warning'),
    ],
  };
}

/** As a request meets them. */
function handlersFirst(all: readonly ProtectedCode[]): ProtectedCode[] {
  return all.toSorted((a, b) => Number(b.route !== undefined) - Number(a.route !== undefined));
}

function diagnosed({ name, route, layers }: ProtectedCode): DiagnosedPipeline {
  return {
    name,
    route: route && `${route.verb} ${route.path}`,
    steps: [...layers.flatMap(guardsOf), ...layers.flatMap(insideOf)],
  };
}

function guardsOf({ by, requestLimits }: Layer): DiagnosedStep[] {
  return requestLimits.map((policy) => ({
    slot: 'guard',
    kind: policy.kind,
    policy: policy.name,
    description: policy.describe(),
    by,
  }));
}

function insideOf({ by, steps }: Layer): DiagnosedStep[] {
  return steps.map(({ slot, policy }) => ({
    slot,
    kind: policy.kind,
    policy: policy.name,
    description: policy.describe(),
    by,
  }));
}
