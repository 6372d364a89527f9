import { US_PER_MS } from '../core/duration.js';
import type { Clock } from '../core/clock.js';
import type {
  CircuitReport,
  CircuitView,
  CircuitProbeRequest,
  CircuitProbeResult,
  SharedCache,
  SharedCircuits,
  SharedOnce,
  SharedOnceBegin,
  SharedPermits,
  SharedPresence,
  SharedState,
  StateKey,
  TakeAnswer,
  TakeRequest,
} from '../core/shared-state.js';
import { FleetCircuit } from './fleet-circuit.js';
import { grantUnits, type FullAt } from './gcra.js';

interface Expiring {
  /** In whole microseconds on the clock's scale. */
  readonly expiresAt: number;
}

interface OnceRecord extends Expiring {
  readonly fence: number;
  readonly fingerprint: string;
  readonly outcome: string | undefined;
}

/** What instances in one process share; each looks at it through a {@link MemoryState} of its own. */
export class MemoryWorld {
  readonly fullAt = new Map<string, FullAt>();
  readonly holders = new Map<string, Map<string, Expiring & { readonly count: number }>>();
  readonly records = new Map<string, OnceRecord>();
  readonly circuits = new Map<string, FleetCircuit>();
  readonly values = new Map<string, Expiring & { readonly value: string; readonly putAt: number }>();
  readonly instances = new Map<string, Expiring>();
  lastFence = 0;

  constructor(private readonly clock: Clock) {}

  nowUs(): number {
    return Math.floor(this.clock.now() * US_PER_MS);
  }

  /** What is kept under `key` and has not expired. */
  live<T extends Expiring>(kept: Map<string, T>, key: string, now = this.nowUs()): T | undefined {
    const found = kept.get(key);
    if (found !== undefined && found.expiresAt > now) return found;
    kept.delete(key);
    return undefined;
  }
}

/** Shared state within one process: the default, and what a store on the network is compared with. */
export class MemoryState implements SharedState {
  readonly permits: SharedPermits;
  readonly once: SharedOnce;
  readonly circuit: SharedCircuits;
  readonly cache: SharedCache;
  readonly presence: SharedPresence;

  /** @param owner - Which instance this is; only its own permits and presence are its to change. */
  constructor(
    private readonly world: MemoryWorld,
    owner = 'this process',
  ) {
    this.permits = new MemoryPermits(world, owner);
    this.once = new MemoryOnce(world);
    this.circuit = new MemoryCircuits(world, owner);
    this.cache = new MemoryCache(world);
    this.presence = new MemoryPresence(world, owner);
  }

  async take(key: StateKey, request: TakeRequest): Promise<TakeAnswer> {
    const { fullAt } = this.world;
    const name = nameOf(key);
    const { next, answer } = grantUnits(fullAt.get(name), request, this.world.nowUs());
    if (next !== undefined) fullAt.set(name, next);
    return answer;
  }

  async close(): Promise<void> {
    await this.presence.leave();
  }
}

class MemoryPermits implements SharedPermits {
  constructor(
    private readonly world: MemoryWorld,
    private readonly owner: string,
  ) {}

  async acquire(
    key: StateKey,
    { limit, want, leaseMs }: { limit: number; want: number; leaseMs: number },
  ): Promise<{ granted: number; held: number }> {
    const now = this.world.nowUs();
    const holders = this.holdersOf(key, now);
    let held = 0;
    for (const { count } of holders.values()) held += count;
    const granted = Math.max(0, Math.min(want, limit - held));
    const own = holders.get(this.owner)?.count ?? 0;
    if (granted > 0) {
      holders.set(this.owner, { count: own + granted, expiresAt: now + leaseMs * US_PER_MS });
    }
    return { granted, held: held + granted };
  }

  async renew(key: StateKey, leaseMs: number, most = Number.POSITIVE_INFINITY): Promise<number> {
    const now = this.world.nowUs();
    const holders = this.holdersOf(key, now);
    const count = Math.min(most, holders.get(this.owner)?.count ?? 0);
    if (count > 0) holders.set(this.owner, { count, expiresAt: now + leaseMs * US_PER_MS });
    else holders.delete(this.owner);
    return count;
  }

  async release(key: StateKey, count: number): Promise<void> {
    const holders = this.holdersOf(key, this.world.nowUs());
    const own = holders.get(this.owner);
    if (own === undefined) return;
    if (own.count > count) holders.set(this.owner, { ...own, count: own.count - count });
    else holders.delete(this.owner);
  }

  private holdersOf(key: StateKey, now: number) {
    const name = nameOf(key);
    const holders = this.world.holders.get(name) ?? new Map<string, Expiring & { readonly count: number }>();
    this.world.holders.set(name, holders);
    for (const owner of holders.keys()) this.world.live(holders, owner, now);
    return holders;
  }
}

class MemoryOnce implements SharedOnce {
  constructor(private readonly world: MemoryWorld) {}

  async begin(key: StateKey, fingerprint: string, leaseMs: number): Promise<SharedOnceBegin> {
    const { world } = this;
    const now = world.nowUs();
    const found = world.live(world.records, nameOf(key), now);
    if (found !== undefined && found.fingerprint !== fingerprint) return { kind: 'mismatch' };
    if (found?.outcome !== undefined) return { kind: 'replay', outcome: found.outcome };
    if (found !== undefined) return { kind: 'busy', leftMs: (found.expiresAt - now) / US_PER_MS };
    const fence = Math.max(now, world.lastFence + 1);
    world.lastFence = fence;
    world.records.set(nameOf(key), {
      fence,
      fingerprint,
      outcome: undefined,
      expiresAt: now + leaseMs * US_PER_MS,
    });
    return { kind: 'run', fence };
  }

  async complete(key: StateKey, fence: number, outcome: string, ttlMs: number): Promise<boolean> {
    const found = this.own(key, fence);
    // A second time it is done already.
    if (found === undefined || found.outcome !== undefined) return found !== undefined;
    const expiresAt = this.world.nowUs() + ttlMs * US_PER_MS;
    this.world.records.set(nameOf(key), { ...found, outcome, expiresAt });
    return true;
  }

  async fail(key: StateKey, fence: number): Promise<void> {
    if (this.own(key, fence)?.outcome === undefined) this.drop(key, fence);
  }

  async beat(key: StateKey, fence: number, leaseMs: number): Promise<boolean> {
    const found = this.own(key, fence);
    if (found === undefined || found.outcome !== undefined) return false;
    const expiresAt = this.world.nowUs() + leaseMs * US_PER_MS;
    this.world.records.set(nameOf(key), { ...found, expiresAt });
    return true;
  }

  private own(key: StateKey, fence: number): OnceRecord | undefined {
    const found = this.world.live(this.world.records, nameOf(key));
    return found?.fence === fence ? found : undefined;
  }

  private drop(key: StateKey, fence: number): void {
    if (this.own(key, fence) !== undefined) this.world.records.delete(nameOf(key));
  }
}

class MemoryCircuits implements SharedCircuits {
  constructor(
    private readonly world: MemoryWorld,
    private readonly owner: string,
  ) {}

  async sync(key: StateKey, report: CircuitReport): Promise<CircuitView> {
    return this.of(key).sync(this.owner, report, this.world.nowUs());
  }

  async probe(key: StateKey, request: CircuitProbeRequest): Promise<CircuitView & { granted: boolean }> {
    return this.of(key).probe(request, this.world.nowUs());
  }

  async settle(key: StateKey, result: CircuitProbeResult): Promise<CircuitView> {
    return this.of(key).settle(this.owner, result, this.world.nowUs());
  }

  private of(key: StateKey): FleetCircuit {
    const name = nameOf(key);
    const circuit = this.world.circuits.get(name) ?? new FleetCircuit();
    this.world.circuits.set(name, circuit);
    return circuit;
  }
}

class MemoryCache implements SharedCache {
  constructor(private readonly world: MemoryWorld) {}

  async get(key: StateKey): Promise<{ value: string; ageMs: number } | undefined> {
    const now = this.world.nowUs();
    const found = this.world.live(this.world.values, nameOf(key), now);
    return found && { value: found.value, ageMs: (now - found.putAt) / US_PER_MS };
  }

  async put(key: StateKey, value: string, ttlMs: number): Promise<void> {
    const now = this.world.nowUs();
    this.world.values.set(nameOf(key), { value, putAt: now, expiresAt: now + ttlMs * US_PER_MS });
  }
}

class MemoryPresence implements SharedPresence {
  constructor(
    private readonly world: MemoryWorld,
    private readonly owner: string,
  ) {}

  async beat(ttlMs: number): Promise<number> {
    const now = this.world.nowUs();
    const { instances } = this.world;
    instances.set(this.owner, { expiresAt: now + ttlMs * US_PER_MS });
    for (const instance of instances.keys()) this.world.live(instances, instance, now);
    return instances.size;
  }

  async leave(): Promise<void> {
    this.world.instances.delete(this.owner);
  }
}

function nameOf({ kind, policy, subject }: StateKey): string {
  return JSON.stringify([kind, policy, subject]);
}
