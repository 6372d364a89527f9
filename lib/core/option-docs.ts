import { acceptedBy, formsOf, inside } from './option-form.js';
import type { OptionRow, OptionTable } from './option-row.js';

/** The options as a table in Markdown, those of nested tables below their parent: `window.calls`. */
export function optionsMarkdown(table: OptionTable): string {
  const lines = new Map<string, string>();
  for (const [path, row] of rowsBelow(table, '')) {
    // Two forms of one option may share a field.
    if (lines.has(path)) continue;
    lines.set(
      path,
      `| \`${path}\` | ${cell(acceptedBy(row))} | ${cell(defaultOf(row))} | ${cell(row.sentence)} |`,
    );
  }
  return [
    '| Option | Type and range | Default | What it does |',
    '|---|---|---|---|',
    ...lines.values(),
    '',
  ].join('\n');
}

function* rowsBelow(table: OptionTable, parent: string): Generator<readonly [path: string, row: OptionRow]> {
  for (const row of table.rows) {
    const path = inside(parent, row.name);
    yield [path, row];
    for (const form of formsOf(row)) if (form.fields !== undefined) yield* rowsBelow(form.fields, path);
  }
}

function defaultOf(row: OptionRow): string {
  if (row.defaultText !== undefined) return row.defaultText;
  if (row.default !== undefined) return `\`${literal(row.default)}\``;
  return row.optional === true ? '–' : 'required';
}

function literal(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).map(([name, field]) => `${name}: ${literal(field)}`);
  return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
