import { propertyOf } from '../core/property.js';
import { cutText } from './plain-details.js';

/** So many of the errors inside an error are named. */
const ERRORS = 5;

/**
 * What an answer says of something thrown. An `AggregateError`, as a host with several addresses that refuse has it, often
 * says nothing itself: then its errors do.
 */
export function failureText(thrown: unknown): string {
  return cutText(textOf(thrown)) || 'The check failed without saying why.';
}

function textOf(thrown: unknown): string {
  try {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    const inner = propertyOf(thrown, 'errors');
    if (!(thrown instanceof Error) || !Array.isArray(inner)) return message;
    const errors = inner
      .slice(0, ERRORS)
      .map((error) => (error instanceof Error ? error.message : String(error)));
    return [message, errors.join('; ')].filter((part) => part !== '').join(': ');
  } catch {
    // Somebody's getter, or an object that is no text.
    return '';
  }
}
