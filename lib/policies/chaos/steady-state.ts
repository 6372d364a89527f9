import type { ExperimentSettings } from './experiment.options.js';
import { crossing, readMetric } from './metric.js';

/** A steady state as an experiment uses it. */
export type Steady = ExperimentSettings['steadyState'][number];

/** What a steady state shows now. */
export async function sample(state: Steady, stats: () => object): Promise<number | boolean | undefined> {
  if (state.metric !== undefined) return readMetric(state.metric, stats);
  const value: unknown = await state.check?.();
  if (typeof value === 'boolean' || (typeof value === 'number' && value >= 0 && value <= 1)) return value;
  throw new TypeError(`it must answer true, false or a share from 0 to 1, got ${String(value)}`);
}

/** In what share it holds; `undefined` where nobody can tell. */
export function shareOf(state: Steady, value: number | boolean | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (state.metric === undefined) return Number(value);
  return crossing({ ...state, metric: state.metric }, value as number) === undefined ? 1 : 0;
}
