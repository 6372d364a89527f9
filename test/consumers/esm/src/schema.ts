import schema from 'nestjs-breakwater/resilience.schema.json' with { type: 'json' };

export { schema };
