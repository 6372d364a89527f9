/**
 * A provider or controller that takes work from elsewhere than HTTP: a queue, a broker, a clock. The method is called when
 * the application begins to refuse new work, and all of them at once. It stops taking more, and its promise settles when
 * what it had taken is done. Pools close only afterwards.
 *
 * @example
 * @Injectable()
 * export class MailWorker implements OnDrain {
 *   async onDrain() { await this.consumer.pause(); await this.consumer.idle(); }
 * }
 *
 * @publicApi
 */
export interface OnDrain {
  onDrain(): void | Promise<void>;
}

/** One such method of the application. */
export interface DrainHook {
  /** `Class.onDrain`, for messages. */
  readonly name: string;
  readonly run: () => unknown;
}

export function hasOnDrain(instance: unknown): instance is OnDrain {
  return typeof (instance as Partial<OnDrain> | null | undefined)?.onDrain === 'function';
}
