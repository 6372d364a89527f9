import 'reflect-metadata';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { DrainingError, DrainingService, ResilienceModule } from '../../lib/index.js';
import { ManualClock } from '../../lib/testing/index.js';

async function setUp() {
  const clock = new ManualClock();
  const module = await Test.createTestingModule({
    imports: [ResilienceModule.forRoot({ clock })],
    providers: [DrainingService],
  }).compile();
  return { clock, draining: module.get(DrainingService) };
}

describe('DrainingService', () => {
  it('counts tracked work exactly, failures included', async () => {
    const { draining } = await setUp();
    let finish!: () => void;
    const open = draining.track(() => new Promise<void>((resolve) => (finish = resolve)));
    const failed = draining.track(() => {
      throw new Error('broken');
    });

    await expect(failed).rejects.toThrow('broken');
    expect(draining.inFlight).toBe(1);
    finish();
    await open;
    expect(draining.inFlight).toBe(0);
  });

  it('refuses new work once it drains, and waits for what is under way', async () => {
    const { clock, draining } = await setUp();
    let finish!: () => void;
    const open = draining.track(() => new Promise<void>((resolve) => (finish = resolve)));

    draining.start();
    const waiting = draining.wait('10s');
    await expect(draining.track(() => 'late')).rejects.toThrow(DrainingError);
    finish();
    await open;

    expect(await waiting).toBe(true);
    expect(draining.stats()).toMatchObject({ isDraining: true, inFlightRequests: 0, drainingElapsedMs: 0 });
    expect(clock.pending).toBe(0);
  });

  it('stops waiting at the timeout', async () => {
    const { clock, draining } = await setUp();
    void draining.track(() => new Promise(() => undefined));

    const waiting = draining.wait('10s');
    await clock.advance(10_000);

    expect(await waiting).toBe(false);
    expect(clock.pending).toBe(0);
  });

  it('does not wait where nothing is under way', async () => {
    const { draining } = await setUp();

    expect(await draining.wait(0)).toBe(true);
  });
});
