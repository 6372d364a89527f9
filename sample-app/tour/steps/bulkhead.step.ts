import { resolvePath, tally, until, type Step } from '../step.js';

interface BulkheadStats {
  readonly activeCalls: number;
  readonly queuedCalls: number;
}

/** The bulkhead `read_operations`, with one slot and two places in its queue. */
export const bulkheadStep: Step = {
  title: 'A full bulkhead: the urgent go first',
  async run(sample, narrator) {
    await sample.change('bulkheads', 'read_operations', { maxConcurrent: 1, maxQueue: 2, maxWait: '60s' });
    await sample.change('timeouts', 'database_reads', { duration: '60s' });
    const release = await sample.fault({ target: 'RouteLookupService.find', latency: '50s' });
    const finished: string[] = [];
    const ask = async (name: string, priority: string) => {
      const { status, body } = await sample.get(resolvePath(`bulkhead-${name.replace(' ', '-')}`), {
        'x-priority': priority,
      });
      // There is no such route, which is an answer.
      const outcome = status === 404 ? 'answered' : (body['code'] as string);
      finished.push(name);
      return outcome;
    };
    const holds = (active: number, queued: number) =>
      until(async () => {
        const { activeCalls, queuedCalls } = await sample.stats<BulkheadStats>(
          'bulkheads',
          'read_operations',
        );
        return activeCalls === active && queuedCalls === queued;
      }, 10_000);
    narrator.say('One read hangs, two of low priority wait: full.');
    const running = ask('running', 'normal');
    await holds(1, 0);
    const low = [ask('low 1', 'low')];
    await holds(1, 1);
    low.push(ask('low 2', 'low'));
    await holds(1, 2);
    narrator.say('Now a critical one comes, and one for the background.');
    const critical = ask('critical', 'critical');
    // One of the low ones has given way: it is the first to hear.
    await until(async () => finished.length > 0, 10_000);
    const background = ask('background', 'background');
    await until(async () => finished.length > 1, 10_000);
    narrator.say('The read that hung goes on; the next ones take 800 ms each.');
    const repair = await sample.fault({ target: 'RouteLookupService.find', latency: '800ms' });
    await release();
    const outcomes = await Promise.all([running, ...low, critical, background]);
    await repair();
    await sample.change('timeouts', 'database_reads', { duration: '2s' });
    await sample.change('bulkheads', 'read_operations', {
      maxConcurrent: 20,
      maxQueue: 100_000,
      maxWait: '5s',
    });

    narrator.check(
      'the critical one is answered, one of the low ones gives way, the background is refused',
      tally(outcomes),
      outcomes[3] === 'answered' && outcomes[2] === 'BULKHEAD_FULL' && outcomes[4] === 'BULKHEAD_FULL',
    );
    narrator.check(
      'the critical one before the low one that waited longer',
      finished.filter((name) => name === 'critical' || name === 'low 1').join(', then '),
      finished.indexOf('critical') < finished.indexOf('low 1'),
    );
  },
};
