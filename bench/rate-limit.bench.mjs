// What one decision of a rate limit costs, with one key and with many.
import { RateLimitPolicy } from 'nestjs-breakwater';
import { RateLimiter, RateLimiterMemory } from './peers/index.mjs';

function decisions(keyCount) {
  const keys = Array.from({ length: keyCount }, (_, i) => `user:${i}`);
  const key = (i) => keys[(i * 7919) % keyCount];
  const policy = new RateLimitPolicy('bench', { capacity: 1e9, refillPerSecond: 1e6, maxKeys: keyCount });
  const limiters = new Map();
  const flexible = new RateLimiterMemory({ points: 1e9, duration: 3600 });
  const arrival = new Map();
  // The floor: a map and the arithmetic, without a policy around it.
  const gcra = (name) => {
    const now = performance.now() * 1000;
    const next = Math.max(arrival.get(name) ?? now, now) + 1;
    if (next - now > 1e9) return false;
    arrival.set(name, next);
    return true;
  };
  return [
    { name: 'Map and GCRA, the floor', run: (i) => gcra(key(i)) },
    { name: 'nestjs-breakwater', run: (i) => policy.decide(key(i)) },
    {
      name: 'limiter',
      run: (i) => {
        const name = key(i);
        let limiter = limiters.get(name);
        if (limiter === undefined) {
          limiter = new RateLimiter({ tokensPerInterval: 1e9, interval: 'hour' });
          limiters.set(name, limiter);
        }
        return limiter.tryRemoveTokens(1);
      },
    },
    { name: 'rate-limiter-flexible (memory)', run: (i) => flexible.consume(key(i)) },
  ];
}

export const rows = [1, 100_000].map((keys) => ({
  title: `Rate limit in memory, ${keys.toLocaleString('en')} key${keys === 1 ? '' : 's'}, per decision`,
  cases: () => decisions(keys),
  target: '≤ 1.3 × the floor',
}));
