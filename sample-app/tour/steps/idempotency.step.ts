import { randomUUID } from 'node:crypto';
import { resolvePath, tally, type Step } from '../step.js';

const REPETITIONS = 10;

/** A registration that its client sends again and again, with one `Idempotency-Key`. */
export const idempotencyStep: Step = {
  title: 'An idempotency key',
  async run(sample, narrator) {
    const key = randomUUID();
    // A key that no tour has used; the route is switched off again at the end.
    const route = { tenant: 'acme', service: 'checkout', env: 'prod', version: `tour-${key}` };
    const register = (url: string) =>
      sample.post('/api/v1/routes', { ...route, url }, { 'idempotency-key': key });

    const answers = await Promise.all(
      Array.from({ length: REPETITIONS }, () => register('https://tour.example')),
    );
    const ids = new Set(answers.map(({ body }) => body['id']));
    narrator.check(
      `${REPETITIONS} requests with one key make one route, and all are told of it`,
      `${tally(answers.map(({ status }) => status))}, ${ids.size} route`,
      answers.every(({ status }) => status === 201) && ids.size === 1,
    );
    const later = await register('https://tour.example');
    narrator.check(
      'one that comes later gets the same answer',
      `${later.status}, ${ids.has(later.body['id']) ? 'the same route' : 'another route'}`,
      later.status === 201 && ids.has(later.body['id']),
    );
    const other = await register('https://elsewhere.example');
    narrator.check(
      'another request with the same key is refused with 422',
      `${other.status}: ${String(other.body['message'])}`,
      other.status === 422,
    );
    const { body } = await sample.get(resolvePath(route.version));
    await sample.post('/api/v1/routes/deactivate', route);
    narrator.check(
      'and has changed nothing',
      `the route leads to ${String(body['url'])}`,
      body['url'] === 'https://tour.example',
    );
  },
};
