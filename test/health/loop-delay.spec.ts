import { describe, expect, it } from '@jest/globals';
import { LoopDelay } from '../../lib/health/loop-delay.js';
import { ManualClock } from '../../lib/testing/index.js';

/** Two histograms of the event loop that a test blocks. */
function loop() {
  const clock = new ManualClock();
  const histograms = [0, 0].map(() => ({
    max: 0,
    isOn: false,
    enable() {
      return (this.isOn = true);
    },
    disable() {
      return (this.isOn = false);
    },
    reset() {
      this.max = 0;
    },
  }));
  const made = histograms.values();
  const delay = new LoopDelay(clock, () => made.next().value as (typeof histograms)[number]);
  const block = (ms: number) => {
    for (const each of histograms) each.max = Math.max(each.max, (ms + 20) * 1e6);
  };
  return { clock, delay, block, histograms };
}

describe('LoopDelay', () => {
  it('HL-01 tells the worst of the last 10 to 20 seconds, read or not', async () => {
    const { clock, delay, block } = loop();
    block(3_000);
    await clock.advance(10_000);
    expect([delay.worstMs(), delay.worstMs()]).toEqual([3_000, 3_000]);
    await clock.advance(9_999);
    expect(delay.worstMs()).toBe(3_000);
    await clock.advance(1);
    expect(delay.worstMs()).toBe(0);
  });

  it('HL-01 a block of long ago is not news to the first who asks', async () => {
    const { clock, delay, block } = loop();
    block(3_000);
    await clock.advance(300_000);
    expect(delay.worstMs()).toBe(0);
    block(500);
    await clock.advance(9_999);
    expect(delay.worstMs()).toBe(500);
  });

  it('HL-01 leaves nothing running behind', () => {
    const { clock, delay, histograms } = loop();
    expect(histograms.map(({ isOn }) => isOn)).toEqual([true, true]);
    delay.stop();
    expect(histograms.map(({ isOn }) => isOn)).toEqual([false, false]);
    expect(clock.pending).toBe(0);
  });
});
