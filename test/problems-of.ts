import { InvalidOptionsError, type OptionProblem } from '../lib/core/errors.js';

/** What is wrong with options, as the error says that comes of them; nothing where they are taken. */
export function problemsOf(run: () => unknown): readonly OptionProblem[] {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidOptionsError) return error.problems;
    throw error;
  }
  return [];
}

/** Where each problem is, and of which option. */
export const placesOf = (run: () => unknown): unknown[] =>
  problemsOf(run).map(({ where, option }) => [where, option]);

/** What each problem says. */
export const messagesOf = (run: () => unknown): string[] => problemsOf(run).map(({ message }) => message);
