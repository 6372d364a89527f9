import {
  Controller,
  Get,
  Inject,
  Res,
  UseGuards,
  VERSION_NEUTRAL,
  applyDecorators,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { OwnRoutes } from '../../core/own-routes.js';
import type { Registry } from 'prom-client';
import { DrainingService } from '../../draining/draining.service.js';
import { METRICS_REGISTRY } from './metrics-registry.js';
import type { PrometheusSettings } from './prometheus.options.js';

/** The controller that serves the metrics at a path. */
export function createMetricsController({ path, guards, decorators }: PrometheusSettings): Type {
  @OwnRoutes()
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(...guards)
  @applyDecorators(...decorators)
  class ResilienceMetricsController {
    constructor(
      @Inject(METRICS_REGISTRY) private readonly registry: Registry,
      @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
      @Inject(DrainingService) draining: DrainingService,
    ) {
      // The last minute of an instance is one that people look at.
      draining.alwaysServeExactly(path);
    }

    /** Answered here, so that no interceptor of the application wraps the text into something else. */
    @Get()
    async metrics(@Res() response: unknown): Promise<void> {
      const body = await this.registry.metrics();
      const { httpAdapter } = this.host;
      httpAdapter.setHeader(response, 'Content-Type', this.registry.contentType);
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      httpAdapter.reply(response, body, 200);
    }
  }
  return ResilienceMetricsController;
}
