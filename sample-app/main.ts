import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { enableGracefulShutdown } from 'nestjs-breakwater';
import { AppModule } from './app.module.js';
import { adminToken, isTokenRandom } from './operators/operators.guard.js';

const port = Number(process.env['PORT'] ?? 3000);
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`PORT must be a number from 0 to 65535, got "${process.env['PORT']}".`);
  process.exit(1);
}

const platform = process.env['HTTP_ADAPTER'] ?? 'express';
if (platform !== 'express' && platform !== 'fastify') {
  console.error(`HTTP_ADAPTER must be "express" or "fastify", got "${platform}".`);
  process.exit(1);
}

const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(AppModule, adapter, { logger: ['error', 'warn'] });
// SIGTERM and Ctrl+C: readiness turns down, what is under way finishes, then the application closes.
enableGracefulShutdown(app);
try {
  await app.listen(port);
} catch (error) {
  if ((error as { code?: string }).code !== 'EADDRINUSE') throw error;
  console.error(`Port ${port} is taken. Choose another one: PORT=3001 npm start`);
  await app.close();
  process.exit(1);
}
const url = `http://localhost:${port}`;
console.log(`
The sample application runs on ${url}. Try, in another terminal:

  curl ${url}/prices/tea                           a price, under six policies
  curl ${url}/patterns                             each pattern at work: /patterns/retry and so on
  curl ${url}/api/resilience/simple-protected      a breaker and two retries

Make the upstream ill, ask for prices, and watch:

  curl -X PUT ${url}/upstream -H 'content-type: application/json' -d '{"failurePercent":100}'
  curl -i ${url}/prices/tea                        X-Degraded-Mode: the last known price
  curl ${url}/health/ready                         degraded, once the breaker is open
  curl ${url}/health/resilience                    the numbers of all policies
  curl ${url}/metrics                              the same for Prometheus
  curl -X PUT ${url}/upstream -H 'content-type: application/json' -d '{"failurePercent":0}'

Watch it live, and open circuits by hand. The name is yours, the password is the token:

  ${url}/resilience-dashboard
  curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" ${url}/resilience/circuitBreakers/upstream/force-open
  ${isTokenRandom ? `ADMIN_TOKEN=${adminToken}` : 'ADMIN_TOKEN is what you have set'}

Stop it with Ctrl+C: it serves for another second, while /health/ready says 503. READINESS_DELAY=20s shows more of that.

Health: ${url}/health, /health/live, /health/ready, /health/deep, /health/resilience
`);
