import { resolvePath, type Step } from '../step.js';

interface BudgetStats {
  readonly totalRetries: number;
  readonly totalRefused: number;
}

/** The retry budget `database`, with 5 instead of 100 retries per minute. */
export const budgetStep: Step = {
  title: 'A retry budget runs out',
  async run(sample, narrator) {
    const stats = () => sample.stats<BudgetStats>('retryBudgets', 'database');
    await sample.reset('retryBudgets', 'database');
    await sample.change('retryBudgets', 'database', { max: 5, minInterval: 0 });
    await sample.operate('POST', '/resilience/circuitBreakers/database/meter-only');
    const repair = await sample.fault({ target: 'RouteLookupService.find', fault: 'partition' });
    for (let i = 0; i < 10; i++) {
      await sample.get(resolvePath(`retried-${i}`));
      narrator.progress(`${i + 1} of 10 requests have failed`);
    }
    const { totalRetries, totalRefused } = await stats();
    narrator.check(
      '10 failing requests, which may be tried 20 times more, get 5 retries together',
      `${totalRetries} retries, ${totalRefused} refused`,
      totalRetries === 5 && totalRefused > 0,
    );
    await repair();
    await sample.change('retryBudgets', 'database', { max: 100, minInterval: '100ms' });
    await sample.reset('retryBudgets', 'database');
    await sample.reset('circuitBreakers', 'database');
  },
};
