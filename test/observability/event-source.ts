import { get, type IncomingHttpHeaders } from 'node:http';

/** One message of a stream. */
export interface StreamMessage {
  readonly id?: string;
  readonly event: string;
  readonly data: string;
}

/** A stream of Server-Sent Events, read one message at a time. */
export interface ReadStream {
  readonly headers: IncomingHttpHeaders;
  /** The server has ended it. */
  readonly ended: Promise<void>;
  next(): Promise<StreamMessage>;
  /** Waits for a comment. */
  comment(text: string): Promise<void>;
  close(): void;
}

/** Opens a stream and waits for its first bytes. */
export function readStream(url: string, headers: Record<string, string> = {}): Promise<ReadStream> {
  return new Promise((resolve, reject) => {
    const request = get(url, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) {
        request.destroy();
        reject(new Error(`The stream answers ${response.statusCode}.`));
        return;
      }
      let buffer = '';
      let wake: () => void = () => undefined;
      // All the time, or else its end would not be seen.
      response.setEncoding('utf8').on('data', (text: string) => {
        buffer += text;
        wake();
      });
      const ended = new Promise<void>((done) => response.once('end', done));
      const block = async (): Promise<string> => {
        for (let end = buffer.indexOf('\n\n'); ; end = buffer.indexOf('\n\n')) {
          if (end >= 0) {
            const found = buffer.slice(0, end);
            buffer = buffer.slice(end + 2);
            return found;
          }
          await new Promise<void>((more) => (wake = more));
        }
      };
      const next = async (): Promise<StreamMessage> => {
        const lines = (await block()).split('\n').map((line) => line.split(/: (.*)/s, 2));
        const fields = Object.fromEntries(lines) as Record<string, string>;
        return fields['data'] === undefined ? next() : (fields as unknown as StreamMessage);
      };
      const comment = async (text: string): Promise<void> => {
        if ((await block()) !== `: ${text}`) await comment(text);
      };
      const close = () => request.destroy();
      const opened = () => resolve({ headers: response.headers, ended, next, comment, close });
      void block().then(opened, reject);
    });
    request.on('error', reject);
  });
}
