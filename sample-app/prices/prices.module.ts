import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module.js';
import { PricesController } from './prices.controller.js';
import { PricesService } from './prices.service.js';

@Module({ imports: [UpstreamModule], controllers: [PricesController], providers: [PricesService] })
export class PricesModule {}
