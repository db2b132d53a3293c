/** Requests to the API of another app: who asks, what is sent again, what an answer means. */
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { RequestRefusedError, UnreachableError } from './errors.ts';

export interface HttpOptions {
  /** Where the app is: `https://jobs.example.com`, without `/api`. */
  url: string;
  /** Of every request, such as `x-functions-key`; a function is asked for each, as tokens expire. */
  headers?: Headers | (() => Headers | Promise<Headers>);
}

type Headers = Record<string, string>;

export interface Sending {
  body?: unknown;
  headers?: Headers;
  signal?: AbortSignal | undefined;
  /** Doing it a second time is another thing: sent again only when the app says that nothing was changed. */
  once?: boolean;
}

/** What a stream tells: the data as JSON. */
export interface StreamedEvent {
  id: string | undefined;
  event: string | undefined;
  data: unknown;
}

const tries = 6;
const firstPauseMs = 200;
const longestPauseMs = 30_000;

// Nothing was changed, by the API's contract.
const saysComeAgain = (status: number) => status === 429 || status === 503;

/** The platform's own timer, so that it runs in a browser too. @throws the signal's reason */
function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const give = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', give);
      resolve();
    }, ms);
    signal?.addEventListener('abort', give, { once: true });
  });
}

export class Http {
  readonly #base: string;
  readonly #headers: () => Headers | Promise<Headers>;

  constructor({ url, headers = {} }: HttpOptions) {
    this.#base = `${url.replace(/\/+$/, '')}/api`;
    this.#headers = typeof headers === 'function' ? headers : () => headers;
  }

  /** Its JSON; undefined for an answer without any. @throws RequestRefusedError, UnreachableError */
  async json(method: string, path: string, sending: Sending = {}): Promise<unknown> {
    const response = await this.send(method, path, sending);
    return response.status === 204 ? undefined : await response.json();
  }

  /** Sent again while there is no answer, or one that says so. @throws RequestRefusedError, UnreachableError */
  async send(method: string, path: string, sending: Sending = {}): Promise<Response> {
    const { signal, once = false } = sending;
    for (let n = 1; ; n++) {
      let waitMs = firstPauseMs * 2 ** (n - 1);
      try {
        const response = await this.#fetch(method, path, sending);
        const { status } = response;
        if (response.ok || status === 304) return response;
        if (!saysComeAgain(status) && (once || status < 500)) throw await refusalOf(response);
        if (n >= tries)
          throw saysComeAgain(status)
            ? await refusalOf(response)
            : new Error(`it answers ${status}`);
        waitMs = Math.max(waitMs, secondsOf(response) * 1000);
      } catch (error) {
        if (error instanceof RequestRefusedError || signal?.aborted) throw error;
        if (once || n >= tries) throw new UnreachableError(this.#base, { cause: error });
      }
      await pause(Math.min(waitMs, longestPauseMs), signal);
    }
  }

  /** What a stream tells, also when it breaks off or ends by time: until it says that there is no more. */
  async *events(path: string, signal?: AbortSignal): AsyncGenerator<StreamedEvent> {
    let last: string | undefined;
    for (;;) {
      const headers = {
        accept: 'text/event-stream',
        ...(last === undefined ? {} : { 'last-event-id': last }),
      };
      const { status, body } = await this.send('GET', path, { headers, signal });
      // As an EventSource has it: this answer says not to come again.
      if (status === 204 || !body) return;
      const told = body
        .pipeThrough(new TextDecoderStream())
        .pipeThrough(new EventSourceParserStream());
      try {
        for await (const { id, event, data } of told) {
          last = id ?? last;
          yield { id, event, data: JSON.parse(data) as unknown };
        }
      } catch (error) {
        if (signal?.aborted || error instanceof SyntaxError) throw error;
      }
      await pause(firstPauseMs, signal);
    }
  }

  async #fetch(
    method: string,
    path: string,
    { body, headers, signal }: Sending,
  ): Promise<Response> {
    const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    const isSent = method !== 'GET' && method !== 'DELETE';
    return fetch(`${this.#base}${path}`, {
      method,
      headers: {
        ...(await this.#headers()),
        ...(isSent ? { 'content-type': type } : {}),
        ...headers,
      },
      ...(isSent ? { body: JSON.stringify(body ?? {}) } : {}),
      ...(signal ? { signal } : {}),
    });
  }
}

const secondsOf = ({ headers }: Response): number => Number(headers.get('retry-after')) || 0;

async function refusalOf(response: Response): Promise<RequestRefusedError> {
  const text = await response.text();
  try {
    const { code, detail, ...more } = JSON.parse(text) as { code: string; detail: string };
    return new RequestRefusedError(response.status, code, detail, more);
  } catch {
    return new RequestRefusedError(response.status, 'refused', text.slice(0, 500), {});
  }
}

/** `?name=value&…` of those that are given. */
export function queryOf(given: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(given))
    if (value !== undefined) query.set(name, String(value));
  return query.size === 0 ? '' : `?${query}`;
}
