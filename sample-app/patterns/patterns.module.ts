import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module.js';
import { PatternsController } from './patterns.controller.js';
import { PatternsService } from './patterns.service.js';

@Module({ imports: [UpstreamModule], controllers: [PatternsController], providers: [PatternsService] })
export class PatternsModule {}
