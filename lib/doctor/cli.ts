#!/usr/bin/env node
import 'reflect-metadata';
import { InvalidOptionsError } from '../core/errors.js';
import { USAGE, UsageError, readArguments } from './arguments.js';
import { diagnose, type Diagnosis } from './diagnose.js';
import { LoadError, loadApplication } from './load.js';
import { report } from './report.js';

/** Of the process: nothing found, something found, could not look. */
const EXIT = { fine: 0, found: 1, failed: 2 } as const;

interface Answer {
  readonly text: string;
  readonly code: number;
}

async function answer(args: readonly string[]): Promise<Answer> {
  const command = readArguments(args);
  if (command.run === 'help') return { text: USAGE, code: EXIT.fine };
  const diagnosis = diagnose(await loadApplication(command.file, command.name));
  return {
    text: command.json ? `${JSON.stringify(diagnosis, undefined, 2)}\n` : report(diagnosis),
    code: codeOf(diagnosis),
  };
}

function codeOf({ findings }: Diagnosis): number {
  return findings.length === 0 ? EXIT.fine : EXIT.found;
}

/** What went wrong, without the stack where its message says it all. */
function explain(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n\n${USAGE}`;
  if (error instanceof LoadError) {
    const { cause } = error;
    const stack = cause instanceof Error && !(cause instanceof InvalidOptionsError) ? cause.stack : undefined;
    return stack === undefined ? `${error.message}\n` : `${error.message}\n\n${stack}\n`;
  }
  return `${error instanceof Error ? error.message : String(error)}\n`;
}

/** Output is for the report alone: what the application prints while it is made goes where messages go. */
async function main(): Promise<void> {
  const print = process.stdout.write.bind(process.stdout);
  process.stdout.write = process.stderr.write.bind(process.stderr);
  let { text, code }: Answer = { text: '', code: EXIT.failed };
  try {
    ({ text, code } = await answer(process.argv.slice(2)));
  } catch (error) {
    process.stderr.write(explain(error));
  }
  // What constructors have opened is not ours to close, and would keep the process.
  print(text, () => process.exit(code));
}

void main();
