/** What the compiler knows of another app's jobs: `tsc` is the judge. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import type { BusClient } from '#longhaul/client/bus.js';
import { connect } from '#longhaul/client/http.js';
import { defineJob } from '#longhaul/define/define-job.js';

const add = defineJob({
  type: 'sums.add',
  input: z.object({ a: z.number(), at: z.coerce.date<string>().optional() }),
  async run({ a }) {
    return { sum: a };
  },
});
const name = defineJob({
  type: 'sums.name',
  input: z.object({ of: z.number() }),
  output: z.object({ name: z.string() }),
  async run({ of }) {
    return { name: `${of}` };
  },
});
export const catalogue = [add, name] as const;

export async function uses(bus: BusClient<typeof catalogue>): Promise<void> {
  const jobs = connect<typeof catalogue>({ url: 'http://localhost' });
  (await jobs.call('sums.add', { a: 1 })).sum satisfies number;
  (await jobs.call(name.with({ of: 1 }), { timeout: '5s' })).name satisfies string;
  (await (await jobs.submit('sums.name', { of: 1 })).result()).name satisfies string;
  const sums = jobs.functions('sums.');
  (await sums.add({ a: 1, at: '2026-01-01' })).sum satisfies number;
  (await bus.functions('sums.').name({ of: 2 })).name satisfies string;
  (await bus.call('sums.add', { a: 1 }, { key: 'account 7' })).sum satisfies number;
  (await bus.functions('sums.').name({ of: 2 }, { key: 'x', delay: '1m' })).name satisfies string;
  // @ts-expect-error the reply comes to the client
  await bus.call('sums.add', { a: 1 }, { callback: { url: 'https://example.com' } });
  // @ts-expect-error the reply comes to the client
  await bus.call(name.with({ of: 1 }), { replyTo: 'replies' });
  // @ts-expect-error over HTTP the type makes its key
  await jobs.call('sums.add', { a: 1 }, { key: 'account 7' });
  // @ts-expect-error no such type
  await jobs.call('sums.nope', { a: 1 });
  // @ts-expect-error another input
  await bus.call('sums.add', { b: 1 });
  // @ts-expect-error no such function
  await sums.nope({ a: 1 });
}

test('functions of a group are made of the names that begin alike', () => {
  const sums = connect<typeof catalogue>({ url: 'http://localhost' }).functions('sums.');
  assert.equal(typeof sums.add, 'function');
  assert.equal((sums as { then?: unknown }).then, undefined, 'it is no promise');
});
