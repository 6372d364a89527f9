import type { Settings } from './settings/settings.js';

/** What the sample prints when it runs: what to try. */
export function greeting(url: string, settings: Settings): string {
  const token = settings.isTokenRandom
    ? `ADMIN_TOKEN=${settings.adminToken}`
    : 'ADMIN_TOKEN is what you have set';
  const key = 'tenant=acme&service=checkout&env=prod&version=v1';
  return `
The sample application runs on ${url}. Try, in another terminal:

  curl '${url}/api/v1/routes/resolve?${key}'
                                                   where requests of a tenant go
  curl ${url}/api/v1/audit/recent                  what has changed
  curl ${url}/prices/tea                           a price, under six policies
  curl ${url}/patterns                             each pattern at work: /patterns/retry and so on
  curl -X POST ${url}/api/resilience/protected-endpoint
                                                   all patterns in one

Make the upstream ill, ask for prices, and watch:

  curl -X PUT ${url}/upstream -H 'content-type: application/json' -d '{"failurePercent":100}'
  curl -i ${url}/prices/tea                        X-Degraded-Mode: the last known price
  curl ${url}/health/ready                         degraded, once the breaker is open
  curl ${url}/health/resilience                    the numbers of all policies
  curl ${url}/metrics                              the same for Prometheus
  curl -X PUT ${url}/upstream -H 'content-type: application/json' -d '{"failurePercent":0}'

All routes are described on ${url}/docs.
Watch it live, and open circuits by hand. The name is yours, the password is the token:

  ${url}/resilience-dashboard
  curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" ${url}/resilience/circuitBreakers/database/force-open
  ${token}

Stop it with Ctrl+C: it serves for another second, while /health/ready says 503. READINESS_DELAY=20s shows more of that.

Health: ${url}/health, /health/live, /health/ready, /health/deep, /health/resilience
`;
}
