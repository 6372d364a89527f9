import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import type { Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ResilienceDashboardModule } from '../../lib/observability/dashboard/index.js';
import { ResilienceTelemetryModule } from '../../lib/observability/opentelemetry/index.js';
import { ResiliencePrometheusModule } from '../../lib/observability/prometheus/index.js';
import { ResilienceAdminModule, ResilienceHealthModule, ResilienceModule } from '../../lib/index.js';

describe('a module that is nothing without its options', () => {
  it.each<[string, Type]>([
    ['ResilienceHealthModule', ResilienceHealthModule],
    ['ResilienceAdminModule', ResilienceAdminModule],
    ['ResilienceDashboardModule', ResilienceDashboardModule],
    ['ResiliencePrometheusModule', ResiliencePrometheusModule],
    ['ResilienceTelemetryModule', ResilienceTelemetryModule],
  ])('PL-07 %s without register() does not start', async (name, module) => {
    const imports = [ResilienceModule.forRoot(), module];

    await expect(Test.createTestingModule({ imports }).compile()).rejects.toThrow(
      `${name}: By itself it does nothing: import ${name}.register().`,
    );
  });

  it('starts with it, and may be exported by its class', async () => {
    class Operations {}
    const operations = {
      module: Operations,
      imports: [
        ResilienceHealthModule.forIndicators(),
        ResilienceAdminModule.register({ public: true }),
        ResilienceDashboardModule.register({ public: true }),
        ResiliencePrometheusModule.register(),
        ResilienceTelemetryModule.register(),
      ],
      exports: [ResilienceHealthModule],
    };
    const imports = [ResilienceModule.forRoot(), operations];

    const app = await Test.createTestingModule({ imports }).compile();
    await app.close();
  });
});
