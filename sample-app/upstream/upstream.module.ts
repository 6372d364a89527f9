import { Module } from '@nestjs/common';
import { UpstreamClient } from './upstream.client.js';
import { UpstreamController } from './upstream.controller.js';

@Module({ controllers: [UpstreamController], providers: [UpstreamClient], exports: [UpstreamClient] })
export class UpstreamModule {}
