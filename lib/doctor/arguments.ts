import { suggest } from '../core/suggest.js';

/** What the command line asks for. */
export type Command =
  | { readonly run: 'help' }
  | {
      readonly run: 'doctor';
      readonly file: string;
      /** What the file exports. */
      readonly name: string;
      readonly json: boolean;
    };

/** A command line that cannot be; its message says why, and what can. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const USAGE = `Usage: nestjs-breakwater doctor <file> [--export AppModule] [--json]

Looks at the policies of a NestJS application: prints every pipeline in order, and warns about what will hurt.

  <file>           the built file that exports the application's module: dist/app.module.js
  --export <name>  what it exports: a module, a dynamic module, or a promise of one; default AppModule
  --json           prints { "pipelines": […], "findings": […] }
  --help           prints this

Exit code: 0 nothing found, 1 something found, 2 the application could not be looked at.
`;

const COMMANDS = ['doctor'];
const OPTIONS = ['--export', '--json', '--help'];

/** @throws {@link UsageError} */
export function readArguments(given: readonly string[]): Command {
  if (given.includes('--help') || given.includes('-h')) return { run: 'help' };
  const [command, ...rest] = given;
  if (command === undefined) throw new UsageError('No command was given.');
  if (!COMMANDS.includes(command))
    throw new UsageError(`There is no command "${command}"${meant(command, COMMANDS)}`);
  const files: string[] = [];
  let name: string | undefined;
  let json = false;
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i] as string;
    const [option, attached] = splitOption(word);
    if (option === '--json') {
      if (attached !== undefined) throw new UsageError('"--json" takes no value.');
      json = true;
    } else if (option === '--export') {
      name = attached ?? rest[++i];
      if (name === undefined || name === '' || name.startsWith('-'))
        throw new UsageError('"--export" needs a name behind it: --export AppModule.');
    } else if (word.startsWith('-'))
      throw new UsageError(`There is no option "${word}"${meant(word, OPTIONS)}`);
    else files.push(word);
  }
  const [file, ...others] = files;
  if (file === undefined)
    throw new UsageError(
      'No file was given: name the built file that exports your module, dist/app.module.js.',
    );
  if (others.length > 0) throw new UsageError(`One file at a time, got ${files.join(', ')}.`);
  return { run: 'doctor', file, name: name ?? 'AppModule', json };
}

/** `--export=AppModule` is `--export AppModule`. */
function splitOption(word: string): [option: string, attached: string | undefined] {
  const at = word.indexOf('=');
  return word.startsWith('--') && at !== -1 ? [word.slice(0, at), word.slice(at + 1)] : [word, undefined];
}

function meant(given: string, known: readonly string[]): string {
  const near = suggest(given, known);
  return near === undefined ? `; there is ${known.join(', ')}.` : `; did you mean "${near}"?`;
}
