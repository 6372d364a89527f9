/** What follows a signal: a call. */
interface Follower {
  abort(kind: 'caller', reason: unknown): void;
}

/** The calls that follow one signal. */
class Followers {
  readonly calls = new Set<Follower>();

  constructor(private readonly signal: AbortSignal) {}

  handleEvent(): void {
    for (const call of this.calls) call.abort('caller', this.signal.reason);
  }
}

const FOLLOWED = new WeakMap<AbortSignal, Followers>();

/**
 * Aborts the call when the signal does, until {@link unfollow}. All calls that follow a signal share one listener: one
 * for each would make Node warn of a leak from the eleventh call on.
 */
export function follow(signal: AbortSignal, call: Follower): void {
  let followers = FOLLOWED.get(signal);
  if (followers === undefined) {
    followers = new Followers(signal);
    FOLLOWED.set(signal, followers);
  }
  if (followers.calls.size === 0) signal.addEventListener('abort', followers, { once: true });
  followers.calls.add(call);
}

export function unfollow(signal: AbortSignal, call: Follower): void {
  const followers = FOLLOWED.get(signal);
  if (followers?.calls.delete(call) === true && followers.calls.size === 0) {
    signal.removeEventListener('abort', followers);
  }
}
