// Every way into the package: the compiler finds the types of each, and Node loads it.
import * as main from 'nestjs-breakwater';
import * as dashboard from 'nestjs-breakwater/dashboard';
import * as doctor from 'nestjs-breakwater/doctor';
import * as opentelemetry from 'nestjs-breakwater/opentelemetry';
import * as prometheus from 'nestjs-breakwater/prometheus';
import * as redis from 'nestjs-breakwater/redis';
import * as testing from 'nestjs-breakwater/testing';
import { schema } from './schema.js';

export const entryPoints: Readonly<Record<string, object>> = {
  '.': main,
  './dashboard': dashboard,
  './doctor': doctor,
  './opentelemetry': opentelemetry,
  './prometheus': prometheus,
  './redis': redis,
  './resilience.schema.json': schema,
  './testing': testing,
};
