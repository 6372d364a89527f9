import { Controller, Get } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { describe, expect, it } from '@jest/globals';
import { FallbackInterceptor, ResilienceAdminModule, ResilienceHealthModule } from 'nestjs-breakwater';
import { ResilienceDashboardModule } from 'nestjs-breakwater/dashboard';
import { ResiliencePrometheusModule } from 'nestjs-breakwater/prometheus';
import { listen, moduleOf, platforms } from './platforms.js';

@Controller('orders')
class OrdersController {
  @Get()
  list(): never {
    throw new Error('down');
  }
}

class Operators {
  canActivate(): boolean {
    return true;
  }
}

describe.each(platforms)('a policy around all handlers, on %s', (_platform, create) => {
  it('HL-03 leaves out the routes by which the application is watched', async () => {
    const guards = { guards: [Operators] };
    const app = await create(
      moduleOf({
        imports: [
          ResilienceHealthModule.register({
            probes: [
              {
                kind: 'readiness',
                name: 'database',
                check: async () => {
                  throw new Error('away');
                },
              },
            ],
          }),
          ResilienceAdminModule.register(guards),
          ResilienceDashboardModule.register(guards),
          ResiliencePrometheusModule.register(),
        ],
        controllers: [OrdersController],
        providers: [{ provide: APP_INTERCEPTOR, useClass: FallbackInterceptor.for(() => 'fallback') }],
      }),
    );
    const url = await listen(app);
    const answer = async (path: string) => {
      const response = await fetch(url + path);
      return [response.status, (await response.text()) === 'fallback'];
    };

    expect(await answer('/orders')).toEqual([200, true]);
    expect(await answer('/health/ready')).toEqual([503, false]);
    for (const path of ['/health/live', '/metrics', '/resilience', '/resilience-dashboard'])
      expect([path, ...(await answer(path))]).toEqual([path, 200, false]);
    await app.close();
  });
});
