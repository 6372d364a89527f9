import { Controller, Get, Injectable } from '@nestjs/common';
import { CircuitBreaker, Fallback } from 'nestjs-breakwater';
import { entryPoints } from './entry-points.js';

@Injectable()
export class PaymentsService {
  @CircuitBreaker('payments', { failureThreshold: 2, openDuration: '1h' })
  async charge(works: boolean): Promise<string> {
    if (!works) throw new Error('down');
    return 'charged';
  }

  @Fallback('cached')
  async rates(): Promise<string> {
    throw new Error('down');
  }

  async cached(): Promise<string> {
    return 'cached';
  }
}

@Controller()
export class PaymentsController {
  // Injected by its type: the compiler's decorator metadata is part of what is tested.
  constructor(private readonly payments: PaymentsService) {}

  @Get('charge')
  async charge(): Promise<string> {
    return this.payments.charge(true);
  }

  @Get('fail')
  async fail(): Promise<string> {
    return this.payments.charge(false);
  }

  @Get('rates')
  async rates(): Promise<string> {
    return this.payments.rates();
  }

  @Get('entry-points')
  entryPoints(): string[] {
    return Object.keys(entryPoints);
  }
}
