import { describe, expect, it } from '@jest/globals';
import { UsageError, readArguments } from '../../lib/doctor/arguments.js';

function mistakeIn(args: readonly string[]): string {
  try {
    readArguments(args);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  return 'none';
}

describe('arguments of the doctor', () => {
  it.each([
    [['a.js'], { file: 'a.js', name: 'AppModule', json: false }],
    [['a.js', '--json'], { file: 'a.js', name: 'AppModule', json: true }],
    [['--export', 'Shop', 'a.js'], { file: 'a.js', name: 'Shop', json: false }],
    [['--json', '--export=Shop', 'a.js'], { file: 'a.js', name: 'Shop', json: true }],
  ])('are read: %j', (args, read) => {
    expect(readArguments(['doctor', ...args])).toEqual({ run: 'doctor', ...read });
  });

  it.each([[['--help']], [['-h']], [['doctor', '--help']]])('can ask for help: %j', (args) => {
    expect(readArguments(args)).toEqual({ run: 'help' });
  });

  it.each([
    [[], 'No command was given.'],
    [['docter', 'a.js'], 'There is no command "docter"; did you mean "doctor"?'],
    [['x', 'a.js'], 'There is no command "x"; there is doctor.'],
    [['doctor'], 'No file was given: name the built file that exports your module, dist/app.module.js.'],
    [['doctor', 'a.js', 'b.js'], 'One file at a time, got a.js, b.js.'],
    [['doctor', 'a.js', '--jsno'], 'There is no option "--jsno"; did you mean "--json"?'],
    [['doctor', 'a.js', '--json=yes'], '"--json" takes no value.'],
    [['doctor', 'a.js', '-v'], 'There is no option "-v"; there is --export, --json, --help.'],
    [['doctor', 'a.js', '--export'], '"--export" needs a name behind it: --export AppModule.'],
    [['doctor', 'a.js', '--export='], '"--export" needs a name behind it: --export AppModule.'],
    [['doctor', '--export', '--json', 'a.js'], '"--export" needs a name behind it: --export AppModule.'],
  ])('that cannot be are refused with what can: %j', (args, message) => {
    expect(mistakeIn(args)).toBe(message);
  });
});
