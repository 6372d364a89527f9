import type { TakeAnswer, TakeRequest } from '../../core/shared-state.js';
import { takeAnswer } from '../gcra.js';
import type { StoreGuard } from '../store-guard.js';
import type { ScriptArgument, ScriptReply } from './drivers.js';

/** Of one call: while it runs, the server does nothing else. */
const KEYS_AT_MOST = 32;

interface Taking {
  readonly name: string;
  readonly request: TakeRequest;
  readonly resolve: (answer: TakeAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Asks for several keys at once; answers `undefined` where they are not all on one node. */
type AskForAll = (
  names: readonly string[],
  args: readonly ScriptArgument[],
  remainingMs?: number,
) => Promise<ScriptReply | undefined>;

/**
 * What is taken in one turn of the event loop is asked for together: half of what a question costs is the call, not the
 * key. On a cluster each key is asked for alone, from the first refusal on.
 */
export class TakesTogether {
  private collected = new Map<string, Taking>();
  private onOneNode = true;

  constructor(
    private readonly guard: Pick<StoreGuard, 'isHurried'>,
    private readonly askForAll: AskForAll,
  ) {}

  take(name: string, request: TakeRequest, remainingMs: number | undefined): Promise<TakeAnswer> {
    return new Promise((resolve, reject) => {
      const taking = { name, request, resolve, reject };
      // Who has less time asks alone, so that nobody else is given up with it.
      if (this.guard.isHurried(remainingMs) || !this.onOneNode) {
        void this.ask([taking], remainingMs);
        return;
      }
      // An operation has each key once.
      if (this.collected.has(name)) this.askForCollected();
      if (this.collected.size === 0) process.nextTick(() => this.askForCollected());
      this.collected.set(name, taking);
      if (this.collected.size === KEYS_AT_MOST) this.askForCollected();
    });
  }

  private askForCollected(): void {
    if (this.collected.size === 0) return;
    const takings = [...this.collected.values()];
    this.collected = new Map();
    void this.ask(takings);
  }

  private async ask(takings: readonly Taking[], remainingMs?: number): Promise<void> {
    const names = takings.map(({ name }) => name);
    try {
      const reply = await this.askForAll(names, argumentsOf(takings), remainingMs);
      if (reply === undefined) {
        this.onOneNode = false;
        for (const taking of takings) void this.ask([taking]);
        return;
      }
      let at = 2;
      for (const { request, resolve } of takings) {
        resolve(takeAnswer(request, Number(reply[at]), Number(reply[at + 1]), Number(reply[at + 2])));
        at += 3;
      }
    } catch (error) {
      for (const { reject } of takings) reject(error);
    }
  }
}

/** One request for all of them where it is the same, as it is for most: its text is what most of a call's work is. */
function argumentsOf(takings: readonly Taking[]): number[] {
  const [first] = takings as [Taking];
  const told = takings.every(({ request }) => isSame(request, first.request)) ? [first] : takings;
  return told.flatMap(({ request: { emissionUs, toleranceUs, want, min } }) => [
    emissionUs,
    toleranceUs,
    want,
    min,
  ]);
}

function isSame(one: TakeRequest, other: TakeRequest): boolean {
  return (
    one.want === other.want &&
    one.emissionUs === other.emissionUs &&
    one.toleranceUs === other.toleranceUs &&
    one.min === other.min
  );
}
