import { Module, type DynamicModule } from '@nestjs/common';
import { ResilienceModule, type ResilienceModuleOptions } from '../module/index.js';
import { ManualClock } from './manual-clock.js';
import { seededRandom } from './seeded-random.js';

/**
 * `ResilienceModule` for tests: time stands still until the test advances it, and jitter is the same in each run. The clock
 * can be injected.
 *
 * @example
 * const module = await Test.createTestingModule({
 *   imports: [ResilienceTestingModule.forRoot({ retries: { payments: { maxRetries: 2 } } })],
 *   providers: [PaymentsService],
 * }).compile();
 * const clock = module.get(ManualClock);
 *
 * @publicApi
 */
@Module({})
export class ResilienceTestingModule {
  /** Takes what `ResilienceModule.forRoot` takes; a `clock` of your own is what is injected then. */
  static forRoot(
    options: Omit<ResilienceModuleOptions, 'clock'> & { readonly clock?: ManualClock } = {},
  ): DynamicModule {
    const { clock = new ManualClock() } = options;
    return {
      module: ResilienceTestingModule,
      global: true,
      imports: [ResilienceModule.forRoot({ random: seededRandom(1), ...options, clock })],
      providers: [{ provide: ManualClock, useValue: clock }],
      exports: [ManualClock],
    };
  }
}
