import { formsOf } from '../core/option-form.js';
import type { OptionForm, OptionRow, OptionTable } from '../core/option-row.js';
import { configTable } from './config-table.js';

type Schema = Readonly<Record<string, unknown>>;

/**
 * The JSON Schema (2020-12) of what {@link resilienceConfig} takes, made from the tables that options are checked with.
 * `resilience.schema.json` of the package is this.
 */
export function resilienceSchema(): Schema {
  const { properties, ...rest } = schemaOfTable(configTable);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'nestjs-breakwater',
    description: 'Policies of ResilienceModule.forRoot(resilienceConfig(…)).',
    ...rest,
    properties: { $schema: { type: 'string' }, ...(properties as object) },
    $defs: {
      time: { type: 'string', pattern: durationPattern('') },
      timeAboveZero: { type: 'string', pattern: durationPattern('(?=[0.]*[1-9])') },
    },
  };
}

function schemaOfTable(table: OptionTable): Schema {
  const rows = table.rows.flatMap((row) => {
    const schema = schemaOfRow(row);
    return schema === undefined ? [] : [[row.name, schema] as const];
  });
  const required = table.rows.filter((row) => row.optional !== true && row.default === undefined);
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(rows),
    ...(required.length > 0 && { required: required.map(({ name }) => name) }),
  };
}

/** `undefined` where a file has no way to say it. */
function schemaOfRow(row: OptionRow): Schema | undefined {
  const forms = formsOf(row).flatMap((form) => schemaOfForm(form) ?? []);
  const [only] = forms;
  if (only === undefined) return undefined;
  const description = row.sentence.replaceAll('`', '');
  const isPlain = row.default !== undefined && typeof row.default !== 'function';
  return {
    ...(forms.length === 1 ? only : { anyOf: forms }),
    description,
    ...(isPlain && { default: row.default }),
  };
}

function schemaOfForm(form: OptionForm): Schema | undefined {
  switch (form.kind) {
    case 'integer':
      return { type: 'integer', ...boundsOf(form) };
    case 'number':
      return { type: 'number', ...boundsOf(form) };
    case 'percent':
      return {
        type: 'number',
        ...boundsOf({ min: form.above === undefined ? 0 : undefined, max: 100, ...form }),
      };
    case 'duration':
      return {
        anyOf: [
          { type: 'number', ...boundsOf(form.min === undefined ? { exclusiveMinimum: 0, ...form } : form) },
          { $ref: `#/$defs/${form.min === undefined ? 'timeAboveZero' : 'time'}` },
        ],
      };
    case 'boolean':
      return { type: 'boolean' };
    case 'string':
      return { type: 'string', minLength: 1 };
    case 'one-of':
      return { enum: form.values };
    case 'matcher':
      return { anyOf: [MATCHER, { type: 'array', items: MATCHER }] };
    case 'list':
      return { type: 'array', items: (form.each && schemaOfForm(form.each)) ?? {} };
    case 'record':
      return recordSchema(form);
    case 'object':
      return form.fields === undefined ? { type: 'object' } : schemaOfTable(form.fields);
    case 'function':
    case 'any':
      return undefined;
  }
}

function recordSchema({ each, values }: OptionForm): Schema {
  const schema = (each && schemaOfForm(each)) ?? {};
  if (values === undefined) return { type: 'object', additionalProperties: schema };
  const properties = Object.fromEntries(values.map((name) => [name, schema]));
  return { type: 'object', additionalProperties: false, properties };
}

/** An HTTP status, a code or name of an error, or an object of these. */
const MATCHER: Schema = {
  anyOf: [
    { type: 'integer' },
    { type: 'string' },
    {
      type: 'object',
      additionalProperties: false,
      properties: {
        status: {
          anyOf: [
            { type: 'integer' },
            { type: 'array', items: { type: 'integer' } },
            {
              type: 'object',
              additionalProperties: false,
              required: ['from', 'to'],
              properties: { from: { type: 'integer' }, to: { type: 'integer' } },
            },
          ],
        },
        code: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
        name: { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'string' } }] },
      },
    },
  ],
};

function boundsOf({
  min,
  above,
  max,
  exclusiveMinimum,
}: Partial<OptionForm> & { readonly exclusiveMinimum?: number }): Schema {
  const least = above ?? exclusiveMinimum;
  return {
    ...(least !== undefined ? { exclusiveMinimum: least } : min !== undefined && { minimum: min }),
    ...(max !== undefined && Number.isFinite(max) && { maximum: max }),
  };
}

/** What the package `ms` reads. Schemas have no flag for capital letters. */
function durationPattern(digits: string): string {
  const units =
    'milliseconds?|msecs?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w|years?|yrs?|y';
  const anyCase = units.replaceAll(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`);
  return String.raw`^${digits}(\d+)?\.?\d+ *(${anyCase})?$`;
}
