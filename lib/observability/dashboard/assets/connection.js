// The stream of numbers and events. It comes back by itself, and says meanwhile that what is shown is old.

/** Numbers come once a second: after so much silence the connection is dead, whatever the browser believes. */
const SILENCE_MS = 5_000;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 5_000;

const REFUSALS = {
  401: 'The server wants you to sign in again.',
  403: 'You are not allowed to see these numbers.',
  404: 'There are no admin routes at this address: mount ResilienceAdminModule, or set "adminPath".',
};

export class Connection {
  #admin;
  #hear;
  #source;
  #silence;
  #delayMs = FIRST_DELAY_MS;
  #lastId = '';

  /** @param hear - Is told of `stats`, `event` and `state`. */
  constructor(admin, hear) {
    this.#admin = admin;
    this.#hear = hear;
  }

  open() {
    const after = this.#lastId === '' ? '' : `&after=${encodeURIComponent(this.#lastId)}`;
    const source = new EventSource(`${this.#admin}/events/stream?stats=true&limit=100${after}`);
    this.#source = source;
    this.#watch();
    source.addEventListener('open', () => {
      this.#delayMs = FIRST_DELAY_MS;
    });
    source.addEventListener('stats', ({ data }) => {
      this.#watch();
      this.#hear.state('live');
      this.#hear.stats(JSON.parse(data));
    });
    source.addEventListener('event', ({ data, lastEventId }) => {
      this.#watch();
      this.#lastId = lastEventId;
      this.#hear.event(JSON.parse(data));
    });
    source.addEventListener('error', () => void this.#lost(source));
  }

  #watch() {
    clearTimeout(this.#silence);
    const source = this.#source;
    this.#silence = setTimeout(() => void this.#lost(source), SILENCE_MS);
  }

  /** We come back ourselves: a browser gives up where the answer is an error, such as 502 while a server restarts. */
  async #lost(source) {
    if (source !== this.#source) return;
    this.#source = undefined;
    clearTimeout(this.#silence);
    source.close();
    this.#hear.state('reconnecting');
    const reason = await this.#reason();
    if (reason !== undefined) this.#hear.state('reconnecting', reason);
    setTimeout(() => this.open(), this.#delayMs);
    this.#delayMs = Math.min(this.#delayMs * 2, LONGEST_DELAY_MS);
  }

  /** Why it was refused, where it was: an EventSource does not tell. */
  async #reason() {
    try {
      const { status } = await fetch(`${this.#admin}/events?limit=1`, { signal: AbortSignal.timeout(2_000) });
      return REFUSALS[status];
    } catch {
      return undefined;
    }
  }
}
