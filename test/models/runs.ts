/**
 * How many random traces each engine is compared with its model on. `npm run mutation` asks for fewer, because it does so
 * once for each mutant.
 */
export const MODEL_RUNS = Number(process.env['FAST_CHECK_RUNS'] ?? 1_000);

/** How many steps a trace has. */
export const MODEL_STEPS = { minLength: 200, maxLength: 200 };

/** The size of a test of load, made smaller as the runs of the models are. */
export const loadOf = (count: number) => Math.ceil((count * MODEL_RUNS) / 1_000);
