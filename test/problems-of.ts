import { problemsThrownBy } from '../lib/core/option-table.js';

export { problemsThrownBy as problemsOf };

/** Where each problem is, and of which option. */
export const placesOf = (run: () => unknown): unknown[] =>
  problemsThrownBy(run).map(({ where, option }) => [where, option]);

/** What each problem says. */
export const messagesOf = (run: () => unknown): string[] =>
  problemsThrownBy(run).map(({ message }) => message);
