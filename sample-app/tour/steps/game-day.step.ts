import { milliseconds, resolvePath, type Step } from '../step.js';

interface Report {
  readonly state: string;
  readonly durationMs: number;
  readonly validated: number;
  readonly participants: readonly string[];
  readonly runbook: readonly { readonly step: string; readonly done: boolean }[];
  readonly experiments: readonly { readonly name: string; readonly state: string }[];
}

/** Both experiments by one runbook, and one report. */
export const gameDayStep: Step = {
  title: 'A game day',
  async run(sample, narrator) {
    await sample.reset('circuitBreakers', 'database');
    await sample.reset('circuitBreakers', 'redis');
    // Known to the cache from now on, so that nobody who asks for it notices an outage of the database.
    await sample.operate('DELETE', '/operations/cache');
    await sample.get(resolvePath());
    narrator.say('The database is cut off, then the cache; nobody but the experiments asks.');
    const { body } = await sample.operate('POST', '/operations/game-days', { participants: ['the tour'] });
    const report = body as unknown as Report;
    narrator.check(
      'its runbook is done, and both hypotheses hold',
      `${report.state} in ${milliseconds(report.durationMs)} with ${report.participants.join(', ')}: ` +
        report.experiments.map(({ name, state }) => `${name} ${state}`).join(', ') +
        `; ${report.validated} validated`,
      report.state === 'completed' && report.runbook.every(({ done }) => done) && report.validated === 2,
    );
    await sample.reset('circuitBreakers', 'database');
    await sample.reset('circuitBreakers', 'redis');
  },
};
