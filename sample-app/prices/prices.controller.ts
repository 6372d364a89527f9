import { Controller, Get, HttpException, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { UpstreamError, type Price } from '../upstream/upstream.client.js';
import { PricesService } from './prices.service.js';

/** A plain controller over a protected service. */
@ApiTags('prices')
@Controller('prices')
export class PricesController {
  constructor(private readonly prices: PricesService) {}

  @Get(':sku')
  async price(@Param('sku') sku: string): Promise<Price> {
    try {
      return await this.prices.price(sku);
    } catch (error) {
      if (error instanceof UpstreamError)
        throw new HttpException(error.message, error.status, { cause: error });
      throw error;
    }
  }
}
