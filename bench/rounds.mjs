// Interleaved rounds: every case runs a little in every round, so that a machine that gets slower slows all of them.
const SAMPLE_MS = 25;

/** Calls `fn` one after the other, and returns nanoseconds per call. */
async function sample(fn, calls) {
  const begin = process.hrtime.bigint();
  for (let i = 0; i < calls; i++) await fn(i);
  return Number(process.hrtime.bigint() - begin) / calls;
}

/** How many calls take about SAMPLE_MS; also the warm-up. */
async function calibrate(fn) {
  let calls = 16;
  for (;;) {
    const ns = await sample(fn, calls);
    const wanted = Math.max(16, Math.round((SAMPLE_MS * 1e6) / ns));
    if (calls >= wanted / 2) return wanted;
    calls = Math.min(wanted, calls * 8);
  }
}

/** The median nanoseconds per call of each case, by name. A case is `{ name, run }`. */
export async function measure(cases, rounds) {
  const plans = [];
  for (const { name, run } of cases) plans.push({ name, run, calls: await calibrate(run), samples: [] });
  for (let round = 0; round < rounds; round++) {
    for (const plan of plans) plan.samples.push(await sample(plan.run, plan.calls));
  }
  return new Map(plans.map(({ name, samples }) => [name, median(samples)]));
}

export function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
