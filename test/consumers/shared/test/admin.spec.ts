import 'reflect-metadata';
import { Injectable, Module, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CircuitBreaker, ResilienceAdminModule, ResilienceModule } from 'nestjs-breakwater';
import { ResilienceDashboardModule } from 'nestjs-breakwater/dashboard';

@Injectable()
class Payments {
  @CircuitBreaker('payments')
  async charge(): Promise<string> {
    return 'charged';
  }
}

@Module({
  imports: [
    ResilienceModule.forRoot({ events: { log: false } }),
    ResilienceAdminModule.register({ public: true }),
    ResilienceDashboardModule.register({ public: true }),
  ],
  providers: [Payments],
})
class AppModule {}

describe('admin routes and dashboard of the packed build', () => {
  let app: INestApplication;
  let url: string;

  beforeEach(async () => {
    app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterEach(() => app.close());

  it('OP-03 a circuit is opened by hand, and a stream tells of it', async () => {
    const stream = await fetch(`${url}/resilience/events/stream`);
    const reader = stream.body!.getReader();

    const answer = await fetch(`${url}/resilience/circuitBreakers/payments/force-open`, { method: 'POST' });
    let text = '';
    while (!text.includes('"forced-open"')) {
      text += new TextDecoder().decode((await reader.read()).value);
    }
    await reader.cancel();

    expect((await answer.json()).stats.state).toBe('forced-open');
    expect(text).toMatch(/id: \w+-1\nevent: event\ndata: \{/);
  });

  it('OP-03 the page and its files are in the package', async () => {
    const page = await fetch(`${url}/resilience-dashboard`);
    const links = [...(await page.text()).matchAll(/(?:src|href)="(\.[^"]+)"/g)];
    const files = await Promise.all(links.map(([, link]) => fetch(new URL(link, page.url))));

    expect([page.status, ...files.map(({ status }) => status)]).toEqual([200, 200, 200, 200, 200]);
  });
});
