/** The HTTP API as a test uses it: plain fetch. */
import { setTimeout as pause } from 'node:timers/promises';
import { until } from './until.ts';

export interface Status {
  id: string;
  type: string;
  state: string;
  attempt: number;
  createdAt: string;
  startedAt?: string;
  progress?: { done: number; of?: number };
  error?: { name: string; message: string; code?: string; cause?: { message: string } };
  result?: unknown;
  links: Record<string, string>;
  [more: string]: unknown;
}

export interface Problem {
  type: string;
  status: number;
  detail: string;
  code: string;
  errors?: { pointer: string; message: string }[];
}

/** Who is told to come again does so. */
async function untilTakenIn(ask: () => Promise<Response>): Promise<Response> {
  for (;;) {
    const response = await ask();
    if (response.status !== 503) return response;
    await pause(Number(response.headers.get('retry-after') ?? 1) * 1000);
  }
}

export function createClient(url: string) {
  const call = async (path: string, init: RequestInit = {}) => fetch(`${url}/api${path}`, init);
  const get = async (id: string): Promise<Status> => {
    const response = await call(`/jobs/${encodeURIComponent(id)}`);
    if (response.status !== 200) throw new Error(`GET ${id}: ${await response.text()}`);
    return (await response.json()) as Status;
  };
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    call('/jobs', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  return {
    call,
    get,
    post,
    async submit(type: string, input: unknown, more: object = {}): Promise<Status> {
      const response = await untilTakenIn(() => post({ type, input, ...more }));
      if (response.status !== 202) throw new Error(`submit: ${await response.text()}`);
      return (await response.json()) as Status;
    },
    ended: (id: string, withinMs?: number) =>
      until(
        `the end of ${id}`,
        async () => {
          const status = await get(id);
          return ['succeeded', 'failed', 'cancelled', 'expired'].includes(status.state) && status;
        },
        withinMs,
      ),
  };
}
