import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module.js';
import { DemoController } from './demo.controller.js';
import { DemoHealthService } from './demo-health.service.js';
import { DemoService } from './demo.service.js';

@Module({
  imports: [UpstreamModule],
  controllers: [DemoController],
  providers: [DemoService, DemoHealthService],
})
export class DemoModule {}
