import type { ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { diagnose, type Diagnosis, type Finding } from '../../lib/doctor/index.js';
import { ResilienceModule, type ResilienceModuleOptions } from '../../lib/index.js';

/** Looks at an application that has not been initialised. */
export async function examine(
  { imports = [], ...metadata }: ModuleMetadata,
  options: ResilienceModuleOptions = {},
): Promise<Diagnosis> {
  const app = await Test.createTestingModule({
    ...metadata,
    imports: [ResilienceModule.forRoot(options), ...imports],
  }).compile();
  return diagnose(app);
}

/** What is found there, as `code: where`. */
export async function findingsOf(
  metadata: ModuleMetadata,
  options?: ResilienceModuleOptions,
): Promise<string[]> {
  return (await examine(metadata, options)).findings.map(({ code, where }) => `${code}: ${where}`);
}

/** The only thing that is found there. */
export async function onlyFinding(
  metadata: ModuleMetadata,
  options?: ResilienceModuleOptions,
): Promise<Finding> {
  const { findings } = await examine(metadata, options);
  if (findings.length !== 1)
    throw new Error(`Expected one finding, got ${JSON.stringify(findings, null, 2)}`);
  return findings[0] as Finding;
}
