import { TimerEntry } from './timer-entry.js';

/**
 * A list of armed timers, linked through the entries themselves. It is a ring closed by its own head, so that taking
 * an entry out needs neither the list nor a branch.
 */
export class TimerList extends TimerEntry {
  constructor() {
    super();
    this.previous = this;
    this.next = this;
  }

  /** The oldest entry. */
  first(): TimerEntry | undefined {
    return this.next === this ? undefined : this.next;
  }

  isEmpty(): boolean {
    return this.next === this;
  }

  /** Moves all entries of `other` to the end of this list, in their order. */
  takeAll(other: TimerList): void {
    if (other.isEmpty()) return;
    const first = other.next as TimerEntry;
    const last = other.previous as TimerEntry;
    const end = this.previous as TimerEntry;
    end.next = first;
    first.previous = end;
    last.next = this;
    this.previous = last;
    other.previous = other;
    other.next = other;
  }

  /** The head of a list is never due. */
  onDue(): void {}
}

/** Whether some list holds the entry. */
export function isLinked(entry: TimerEntry): boolean {
  return entry.next !== undefined;
}

/** Puts an unlinked entry in front of `next`, which is an entry of a list or the list itself (then: at its end). */
export function linkBefore(next: TimerEntry, entry: TimerEntry): void {
  const previous = next.previous as TimerEntry;
  entry.previous = previous;
  entry.next = next;
  previous.next = entry;
  next.previous = entry;
}

/** Takes a linked entry out of whichever list holds it. */
export function unlink(entry: TimerEntry): void {
  const previous = entry.previous as TimerEntry;
  const next = entry.next as TimerEntry;
  previous.next = next;
  next.previous = previous;
  entry.previous = undefined;
  entry.next = undefined;
}
