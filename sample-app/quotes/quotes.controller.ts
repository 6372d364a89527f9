import { Controller, Get, Header, Param } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { QuotesService, type Quote } from './quotes.service.js';

@ApiTags('prices')
@Controller('quotes')
export class QuotesController {
  constructor(private readonly quotes: QuotesService) {}

  @Get(':sku')
  @Header('Cache-Control', 'no-store')
  quote(@Param('sku') sku: string): Promise<Quote> {
    return this.quotes.quote(sku);
  }
}
