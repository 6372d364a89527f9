import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { Faults, Region, RegionState } from './faults.js';

/** A price as the upstream gives it. */
export interface Price {
  readonly sku: string;
  readonly cents: number;
  readonly source: string;
}

/** Whom to ask, and how. */
export interface PriceQuestion {
  /** Default `primary`. */
  readonly region?: Region;
  /** A fate that the request asks for itself. */
  readonly query?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** The upstream answered, but not with what was asked for. */
export class UpstreamError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** Starts the upstream, a second process with an HTTP server of its own, and speaks to it over its socket. */
@Injectable()
export class UpstreamClient implements OnModuleInit, OnModuleDestroy {
  private child!: ChildProcess;
  private url!: string;

  async onModuleInit(): Promise<void> {
    this.child = fork(fileURLToPath(new URL('./upstream.server.js', import.meta.url)));
    const [port] = (await once(this.child, 'message')) as [number];
    this.url = `http://127.0.0.1:${port}`;
  }

  onModuleDestroy(): void {
    // A signal to the whole group of processes has ended it already.
    if (this.child.connected) this.child.disconnect();
  }

  /** Asks for a price. Throws {@link UpstreamError} where the upstream does not give one. */
  async price(sku: string, { region = 'primary', query = {}, signal }: PriceQuestion = {}): Promise<Price> {
    const url = `${this.url}/${region}/prices/${encodeURIComponent(sku)}?${new URLSearchParams(query).toString()}`;
    const response = await fetch(url, { signal: signal ?? null });
    const body = (await response.json()) as Price & { error?: string };
    if (!response.ok) throw new UpstreamError(response.status, body.error ?? response.statusText);
    return body;
  }

  /** Changes how a region misbehaves, or only looks. */
  async faults(region: Region = 'primary', change?: Partial<Faults>): Promise<RegionState> {
    const response = await fetch(`${this.url}/faults/${region}`, {
      ...(change && { method: 'PUT', body: JSON.stringify(change) }),
    });
    return (await response.json()) as RegionState;
  }
}
