import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module.js';
import { QuotesController } from './quotes.controller.js';
import { QuotesService } from './quotes.service.js';

@Module({ imports: [UpstreamModule], controllers: [QuotesController], providers: [QuotesService] })
export class QuotesModule {}
