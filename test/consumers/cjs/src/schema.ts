import schema from 'nestjs-breakwater/resilience.schema.json';

export { schema };
