import fc from 'fast-check';

/** `npm run mutation` asks for fewer runs, because it makes them for each mutant. */
const given = process.env['FAST_CHECK_RUNS'];

/** How many random traces each engine is compared with its model on. */
export const MODEL_RUNS = Number(given ?? 1_000);

// There, nobody reads the counterexample, so none is made smaller.
if (given !== undefined) fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });

/** How many steps a trace has. */
export const MODEL_STEPS = { minLength: 200, maxLength: 200 };

/** The size of a test of load, made smaller as the runs of the models are. */
export const loadOf = (count: number) => Math.ceil((count * MODEL_RUNS) / 1_000);
