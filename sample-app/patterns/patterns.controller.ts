import { randomUUID } from 'node:crypto';
import { Controller, Get, NotFoundException, Param } from '@nestjs/common';
import { ResilienceService } from 'nestjs-breakwater';
import { PatternsService } from './patterns.service.js';

/** What one call came to. */
type Outcome = string;

interface Demonstration {
  readonly method: string;
  readonly what: string;
  readonly run: () => Promise<readonly Outcome[]>;
}

/** Shows each pattern at work: a few calls, and what became of them. */
@Controller('patterns')
export class PatternsController {
  private readonly demonstrations: Readonly<Record<string, Demonstration>> = {
    'circuit-breaker': {
      method: 'behindBreaker',
      what: 'Five calls to an upstream that fails: after three failures the breaker refuses.',
      run: () => this.inTurn(5, () => this.patterns.behindBreaker()),
    },
    retry: {
      method: 'retried',
      what: 'One call to an upstream that fails twice: the third attempt succeeds.',
      run: async () => {
        const id = randomUUID();
        let requests = 0;
        const outcome = await this.outcome(() => this.patterns.retried(id, () => requests++));
        return [`${outcome}, after ${requests} requests`];
      },
    },
    bulkhead: {
      method: 'inBulkhead',
      what: 'Five calls at once: two run, one waits, two are refused.',
      run: () => this.atOnce(5, () => this.patterns.inBulkhead()),
    },
    'rate-limit': {
      method: 'limited',
      what: 'Five calls in a row, and three in the bucket: two are refused.',
      run: () => this.inTurn(5, () => this.patterns.limited()),
    },
    timeout: {
      method: 'hurried',
      what: 'One call to an upstream that takes two seconds: it is cut off after 100 ms.',
      run: () => this.inTurn(1, () => this.patterns.hurried()),
    },
    fallback: {
      method: 'withFallbacks',
      what: 'The upstream and its replica fail: the local cache answers.',
      run: () => this.inTurn(1, () => this.patterns.withFallbacks()),
    },
  };

  constructor(
    private readonly patterns: PatternsService,
    private readonly resilience: ResilienceService,
  ) {}

  @Get()
  list() {
    return Object.entries(this.demonstrations).map(([name, { what }]) => ({
      path: `/patterns/${name}`,
      what,
    }));
  }

  @Get(':name')
  async show(@Param('name') name: string) {
    const demonstration = Object.hasOwn(this.demonstrations, name) ? this.demonstrations[name] : undefined;
    if (demonstration === undefined) {
      throw new NotFoundException(
        `There is no pattern "${name}"; there are ${Object.keys(this.demonstrations).join(', ')}.`,
      );
    }
    this.patterns.startOver();
    const pipeline = this.resilience.describe(PatternsService, demonstration.method).split('\n');
    return { what: demonstration.what, pipeline, outcomes: await demonstration.run() };
  }

  private async inTurn(times: number, call: () => Promise<{ source: string }>): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let i = 0; i < times; i++) outcomes.push(await this.outcome(call));
    return outcomes;
  }

  private atOnce(times: number, call: () => Promise<{ source: string }>): Promise<Outcome[]> {
    return Promise.all(Array.from({ length: times }, () => this.outcome(call)));
  }

  private async outcome(call: () => Promise<{ source: string }>): Promise<Outcome> {
    try {
      return `answered by ${(await call()).source}`;
    } catch (error) {
      const { code, message, status } = error as { code?: string; message: string; status?: number };
      return `${code ?? status ?? 'error'}: ${message}`;
    }
  }
}
