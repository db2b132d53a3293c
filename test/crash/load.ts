/** A mixed load: jobs of every kind, and what is to be true of each once it has ended. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { createClient, Status } from '../support/client.ts';

type Client = ReturnType<typeof createClient>;

export interface Kind {
  type: string;
  /** Whoever asked is called back. */
  callsBack?: boolean;
  input(n: number): object;
  /** What somebody does with the job once it is accepted. */
  afterwards?(client: Client, id: string): Promise<unknown>;
  /** @throws AssertionError */
  check(ended: Status, n: number): void;
}

const succeeded = (ended: Status, result: unknown) => {
  assert.equal(
    ended.state,
    'succeeded',
    `${ended.id} ${ended.type}: ${JSON.stringify(ended.error)}`,
  );
  assert.deepEqual(ended.result, result, `${ended.id} ${ended.type}`);
};

const post = (client: Client, path: string, body: object = {}) =>
  insist(() =>
    client.call(path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );

export const steps = 4;

export function kinds(folder: string): Kind[] {
  const log = (name: string) => join(folder, name);
  return [
    {
      type: 'test.counting',
      input: () => ({ log: log('counting'), steps, ms: 10 }),
      check: (ended) => succeeded(ended, { total: steps, chosen: ended.id }),
    },
    {
      type: 'test.sleeper',
      callsBack: true,
      input: () => ({ log: log('sleeper'), ms: 700 }),
      check: (ended) => succeeded(ended, { slept: 700 }),
    },
    {
      type: 'test.approval',
      input: (n) => ({ key: `approval ${n}` }),
      async afterwards(client, id) {
        await post(client, `/jobs/${id}/events/paid`, { euros: 3 });
        await post(client, `/jobs/${id}/events/approved`, { by: id });
      },
      check: (ended) => succeeded(ended, { by: ended.id, euros: 3 }),
    },
    {
      type: 'test.squares',
      input: (n) => ({ to: 6, ms: 5, ...(n % 2 ? { limit: 2 } : {}) }),
      check: (ended) => succeeded(ended, { sum: 55, count: 6 }),
    },
    {
      type: 'test.tree',
      input: () => ({ depth: 2, width: 2 }),
      check: (ended) => succeeded(ended, { size: 7 }),
    },
    {
      type: 'test.order',
      // The handler reads it: not one for all.
      input: (n) => ({ log: log(`order ${n}`), fails: 'error' }),
      check(ended) {
        assert.equal(ended.state, 'failed', ended.id);
        assert.deepEqual(undone(ended), ['parcel', 'payment', 'stock'], ended.id);
      },
    },
    {
      type: 'test.order',
      input: (n) => ({ log: log(`cancelled order ${n}`), fails: 'wait' }),
      afterwards: (client, id) => post(client, `/jobs/${id}/cancel`),
      check(ended) {
        assert.equal(ended.state, 'cancelled', ended.id);
      },
    },
    {
      type: 'test.limited',
      input: (n) => ({ log: log('limited'), key: `k${n % 3}`, n, ms: 15 }),
      check: (ended, n) => succeeded(ended, { n }),
    },
    {
      type: 'test.ordered',
      input: (n) => ({ log: log('ordered'), key: `o${n % 3}`, n, failures: n % 2 }),
      check: (ended, n) => succeeded(ended, { n }),
    },
    {
      type: 'test.total',
      input: (n) => ({ key: 'total', n: 1, fails: n % 4 === 0 }),
      check: (ended) => assert.equal(ended.state, 'succeeded', ended.id),
    },
    {
      type: 'test.unique-finished',
      input: (n) => ({ of: { n: n % 5 }, log: log('unique'), ms: 20 }),
      check: (ended) => succeeded(ended, { ran: ended.id }),
    },
    {
      type: 'test.failing',
      callsBack: true,
      input: () => ({ log: log('failing') }),
      check: (ended) => assert.equal(ended.error?.message, 'Attempt 3 fails', ended.id),
    },
  ];
}

const undone = (status: Status) =>
  ((status['undone'] ?? []) as { step: string }[]).map(({ step }) => step);

// A part may be away for a minute, and a busy machine takes its time to start it again.
const insistMs = 180_000;

// 408: the worker's HTTP server says so of what came while it stood still.
const saysComeAgain = ({ status }: Response) => status >= 500 || status === 408 || status === 429;

/** Until it is answered other than by an error of ours; the caller's own retry. */
export async function insist(ask: () => Promise<Response>): Promise<Response> {
  const end = Date.now() + insistMs;
  for (;;) {
    try {
      const response = await ask();
      if (!saysComeAgain(response)) return response;
      if (Date.now() > end) throw new Error(await response.text());
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await pause(150);
  }
}
