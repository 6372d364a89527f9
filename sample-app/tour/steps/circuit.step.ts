import { milliseconds, resolvePath, until, type Step } from '../step.js';

interface BreakerStats {
  readonly state: string;
}

interface PolicyEvent {
  readonly kind: string;
  readonly policy: string;
  readonly type: string;
  readonly details: { readonly from?: string; readonly to?: string };
}

/** The circuit `database`, with 2 s instead of a minute to wait. */
export const circuitStep: Step = {
  title: 'A circuit: closed → open → half-open → closed',
  async run(sample, narrator) {
    const state = async () => (await sample.stats<BreakerStats>('circuitBreakers', 'database')).state;
    await sample.reset('circuitBreakers', 'database');
    await sample.change('circuitBreakers', 'database', { openDuration: '2s' });
    const known = await sample.get(resolvePath());
    narrator.check('a healthy answer, 200', `${known.status}`, known.status === 200);

    narrator.say('The connection to the database breaks.');
    const repair = await sample.fault({ target: 'RouteLookupService.find', fault: 'partition' });
    let asked = 0;
    const opened = await until(async () => {
      await sample.get(resolvePath(`gone-${asked++}`));
      narrator.progress(`${asked} requests have failed`);
      return (await state()) === 'open';
    }, 30_000);
    narrator.check('the circuit opens', `${opened ? 'open' : 'not open'} after ${asked} requests`, opened);
    const degraded = await sample.get(resolvePath());
    narrator.check(
      'a known route from the cache, marked as degraded',
      `${degraded.status}, source ${String(degraded.body['source'])}, X-Degraded-Mode ${degraded.headers.get('x-degraded-mode')}, in ${milliseconds(degraded.tookMs)}`,
      degraded.body['source'] === 'cache_fallback' && degraded.headers.get('x-degraded-mode') === 'true',
    );

    narrator.say('The connection is repaired. After 2 s the circuit lets one call through.');
    await repair();
    const closed = await until(async () => {
      await sample.get(resolvePath('probe'));
      return (await state()) === 'closed';
    }, 30_000);
    const { body } = await sample.operate('GET', '/resilience/events?limit=1000');
    const path = (body as unknown as readonly PolicyEvent[])
      .filter(
        ({ kind, policy, type }) =>
          kind === 'circuitBreaker' && policy === 'database' && type === 'state-changed',
      )
      .slice(-3)
      .map(({ details }) => details.to);
    narrator.check(
      'open → half-open → closed',
      path.join(' → '),
      closed && path.join() === 'open,half-open,closed',
    );
    await sample.change('circuitBreakers', 'database', { openDuration: '60s' });
  },
};
