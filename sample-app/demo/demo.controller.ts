import {
  Controller,
  Get,
  Header,
  HttpCode,
  HttpException,
  HttpStatus,
  Param,
  Post,
  UseFilters,
} from '@nestjs/common';
import { ApiOperation, ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import { ResilienceService } from 'nestjs-breakwater';
import { DemoFilter } from './demo.filter.js';
import { DemoHealthService } from './demo-health.service.js';
import { DemoService, type DemoAnswer } from './demo.service.js';

/** What the API calls a kind of policy, what we call it, and how it says so to people. */
const TYPES = {
  circuit_breaker: ['circuitBreaker', 'Circuit breaker'],
  retry_manager: ['retry', 'Retry manager'],
  bulkhead: ['bulkhead', 'Bulkhead'],
} as const;
const RESETTABLE = ['circuit_breaker', 'retry_manager'];

/** The demo API: every pattern behind one route, and what they count. */
@ApiTags('demo')
@Controller('api/resilience')
export class DemoController {
  constructor(
    private readonly demo: DemoService,
    private readonly health: DemoHealthService,
    private readonly resilience: ResilienceService,
  ) {}

  @Post('protected-endpoint')
  @HttpCode(200)
  @UseFilters(DemoFilter)
  @ApiOperation({ summary: 'One call under all patterns' })
  @ApiResponse({ status: 429, description: 'More than 100 at once, or 10 per second.' })
  @ApiResponse({ status: 503, description: 'A policy refused.' })
  protected(): Promise<DemoAnswer> {
    return this.demo.protected();
  }

  @Get('simple-protected')
  @ApiOperation({ summary: 'One call under a circuit breaker and two retries' })
  async simple() {
    return { message: await this.demo.simple(), status: 'success' };
  }

  @Get('health')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'Asks everything that the demo stands on' })
  @ApiResponse({ status: 503, description: 'Something does not answer.' })
  async deepHealth() {
    const { healthy, kind, latencyMs, details, error } = await this.health.check();
    if (healthy) return { status: 'healthy', check_type: kind, latency_ms: latencyMs, details };
    const body = { status: 'unhealthy', check_type: kind, error, latency_ms: latencyMs };
    throw new HttpException(body, HttpStatus.SERVICE_UNAVAILABLE);
  }

  @Get('stats')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'The numbers of all policies' })
  stats() {
    const { timestamp, circuitBreakers, retries, bulkheads, timeouts } = this.resilience.stats();
    return {
      timestamp,
      circuit_breakers: circuitBreakers,
      retry_managers: retries,
      bulkheads,
      adaptive_timeouts: timeouts,
    };
  }

  @Get('stats/:type/:name')
  @Header('Cache-Control', 'no-store')
  @ApiParam({ name: 'type', enum: Object.keys(TYPES) })
  @ApiOperation({ summary: 'The numbers of one policy' })
  @ApiResponse({ status: 404, description: 'There is none of that type and name.' })
  one(@Param('type') type: string, @Param('name') name: string) {
    const policy = isType(type) ? this.resilience.find(TYPES[type][0], name) : undefined;
    if (policy === undefined) throw notFound();
    return policy.stats();
  }

  @Post('reset/:type/:name')
  @HttpCode(200)
  @ApiParam({ name: 'type', enum: RESETTABLE })
  @ApiOperation({ summary: 'Puts a policy back to how it began' })
  @ApiResponse({ status: 404, description: 'There is none of that type and name.' })
  reset(@Param('type') type: string, @Param('name') name: string) {
    if (!isType(type) || !RESETTABLE.includes(type)) throw notFound();
    const [kind, title] = TYPES[type];
    if (!this.resilience.reset(kind, name)) throw notFound();
    return { message: `${title} '${name}' reset` };
  }
}

function isType(type: string): type is keyof typeof TYPES {
  return Object.hasOwn(TYPES, type);
}

function notFound(): HttpException {
  return new HttpException({ error: 'Component not found' }, HttpStatus.NOT_FOUND);
}
