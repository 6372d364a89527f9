/** The answer to a request, read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Readonly<Record<string, unknown>>;
  readonly tookMs: number;
}

const JSON_TYPE = { 'content-type': 'application/json' };

/** Speaks to a running sample, as a client and as an operator. */
export class SampleClient {
  constructor(
    readonly url: string,
    private readonly token: string,
  ) {}

  get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ask('GET', path, headers);
  }

  post(path: string, body?: object, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return this.ask('POST', path, headers, body);
  }

  /** Makes a region of the outside service misbehave. */
  async upstream(region: string, faults: { failurePercent?: number; latencyMs?: number }): Promise<void> {
    await this.ask('PUT', `/upstream/${region}`, {}, faults);
  }

  /** What operators may: `/resilience` and `/operations`. */
  async operate(method: string, path: string, body?: object): Promise<Answer> {
    const answer = await this.ask(method, path, { authorization: `Bearer ${this.token}` }, body);
    if (answer.status >= 400) {
      throw new Error(`${method} ${path} was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
    }
    return answer;
  }

  /** The numbers of a policy. */
  async stats<T = Readonly<Record<string, unknown>>>(kind: string, name: string): Promise<T> {
    const { body } = await this.operate('GET', `/resilience/${kind}/${name}`);
    return body['stats'] as T;
  }

  async change(kind: string, name: string, options: object): Promise<void> {
    await this.operate('PATCH', `/resilience/${kind}/${name}`, options);
  }

  async reset(kind: string, name: string): Promise<void> {
    await this.operate('POST', `/resilience/${kind}/${name}/reset`);
  }

  /** Starts a fault; what ends it. */
  async fault(fault: object): Promise<() => Promise<void>> {
    const { body } = await this.operate('POST', '/resilience/chaos/faults', fault);
    return async () => {
      await this.operate('DELETE', `/resilience/chaos/faults/${String(body['id'])}`);
    };
  }

  private async ask(
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: object,
  ): Promise<Answer> {
    const startedAt = performance.now();
    const response = await fetch(this.url + path, {
      method,
      headers: { ...headers, ...(body && JSON_TYPE) },
      ...(body && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json') === true;
    return {
      status: response.status,
      headers: response.headers,
      body: (isJson && text !== '' ? JSON.parse(text) : {}) as Answer['body'],
      tookMs: performance.now() - startedAt,
    };
  }
}
