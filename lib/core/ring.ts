/**
 * The last `capacity` items, oldest first. Holds no storage before the first item.
 */
export class Ring<T> implements Iterable<T> {
  private items: T[] | undefined = undefined;
  /** Where the oldest item is; moves only once the ring is full. */
  private oldest = 0;

  /** @param capacity a positive integer */
  constructor(readonly capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`A ring holds a whole number of items, at least 1, got ${capacity}.`);
    }
  }

  get length(): number {
    return this.items === undefined ? 0 : this.items.length;
  }

  /** Adds an item; answers the one that fell out, if the ring was full. */
  push(item: T): T | undefined {
    const items = (this.items ??= []);
    if (items.length < this.capacity) {
      items.push(item);
      return undefined;
    }
    const fallen = items[this.oldest] as T;
    items[this.oldest] = item;
    this.oldest = this.oldest + 1 === this.capacity ? 0 : this.oldest + 1;
    return fallen;
  }

  /** The item at an index, 0 being the oldest; undefined out of range. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.length) return undefined;
    return this.items?.[(this.oldest + index) % this.length];
  }

  clear(): void {
    this.items = undefined;
    this.oldest = 0;
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let index = 0; index < this.length; index++) yield this.at(index) as T;
  }
}
