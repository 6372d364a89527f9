import { sharedState } from './identity.js';

const standIns = sharedState('stand-ins', () => new WeakMap<object, (value: never) => unknown>());

/** Lets what `describe` makes of an object stand in its place where arguments are compared. */
export function letStandFor<T extends object>(value: T, describe: (value: T) => unknown): void {
  standIns.set(value, describe);
}

/** Whether something else is to be compared in the place of an object. */
export function hasStandIn(value: object): boolean {
  return standIns.has(value);
}

/** Arguments as they are to be compared. */
export function withStandIns(args: readonly unknown[]): readonly unknown[] {
  return args.map((value) => {
    const describe = typeof value === 'object' && value !== null ? standIns.get(value) : undefined;
    return describe === undefined ? value : describe(value as never);
  });
}
