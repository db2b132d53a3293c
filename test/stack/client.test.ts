/** The typed clients against the whole stack, also while parts of it die. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { z } from 'zod';
import { type BusClient, connectBus } from '#longhaul/client/bus.js';
import { CallTimeoutError, JobFailedError, RequestRefusedError } from '#longhaul/client/errors.js';
import { connect } from '#longhaul/client/http.js';
import type { Caller, WaitOptions } from '#longhaul/client/types.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { crashableStack } from '../support/crashable.ts';

// What another app knows of those in `support/app.ts`.
const echo = defineJob({
  type: 'test.echo',
  input: z.object({ value: z.number() }),
  run: async ({ value }) => ({ value }),
});
const large = defineJob({
  type: 'test.large',
  input: z.object({ text: z.string(), repeat: z.number() }),
  run: async () => ({ length: 0, text: '' }),
});
const slow = defineJob({
  type: 'test.slow',
  input: z.object({ ms: z.number() }),
  run: async ({ ms }) => ({ waited: ms }),
});
const square = defineJob({
  type: 'test.square',
  input: z.object({ n: z.number() }),
  run: async ({ n }) => ({ square: n * n }),
});
const counting = defineJob({
  type: 'test.counting',
  input: z.object({ log: z.string(), steps: z.number(), ms: z.number() }),
  run: async () => ({ total: 0 }),
});
const catalogue = [echo, large, slow, square, counting] as const;

let stack: Awaited<ReturnType<typeof crashableStack>>;
let folder: string;
let client: ServiceBusClient;
let bus: BusClient<typeof catalogue>;
const http = () => connect<typeof catalogue>({ url: stack.url });

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-client-'));
  stack = await crashableStack(join(folder, 'data'));
  client = new ServiceBusClient(stack.serviceBus, {
    retryOptions: { maxRetries: 10, retryDelayInMs: 300, maxRetryDelayInMs: 1000 },
  });
  bus = connectBus<typeof catalogue>({ client, url: stack.url });
});
after(async () => {
  await bus?.close();
  await client?.close();
  await stack?.stop();
  await rm(folder, { recursive: true, force: true });
});

type Either = Caller<typeof catalogue, WaitOptions>;
for (const [how, caller] of [
  ['HTTP', (): Either => http()],
  ['Service Bus', (): Either => bus],
] as const)
  describe(`a job called over ${how}`, () => {
    test('answers with its result', async () => {
      assert.deepEqual(await caller().call('test.square', { n: 7 }), { square: 49 });
      assert.deepEqual(await caller().call(echo.with({ value: 3 })), { value: 3 });
      assert.deepEqual(await caller().functions('test.').square({ n: 3 }), { square: 9 });
    });

    test('that fails throws the remote reason', async () => {
      const failed = caller().call('test.square', { n: -1 });
      await assert.rejects(failed, (error: unknown) => {
        assert.ok(error instanceof JobFailedError);
        assert.equal(error.state, 'failed');
        assert.match((error.cause as Error).message, /-1 has no root/);
        return true;
      });
    });

    test('that takes too long is a timeout, and goes on', async () => {
      const late = caller().call('test.slow', { ms: 1500 }, { timeout: '200ms' });
      await assert.rejects(late, (error: unknown) => {
        assert.ok(error instanceof CallTimeoutError);
        return error.code === 'call_timeout';
      });
    });

    test('ends with the signal of the caller', async () => {
      const abort = new AbortController();
      const call = caller().call('test.slow', { ms: 3000 }, { signal: abort.signal });
      setTimeout(() => abort.abort(new Error('no longer wanted')), 100);
      await assert.rejects(call, /no longer wanted/);
    });

    test('gives a result that is too large for a message', async () => {
      const { length, text } = await caller().call('test.large', { text: 'x', repeat: 400_000 });
      assert.deepEqual([length, text.length], [1, 400_000]);
    });
  });

test('over HTTP a job is submitted, watched and cancelled; a refusal is typed', async () => {
  const handle = await http().submit(counting.with({ log: '/dev/null', steps: 1000, ms: 50 }));
  const states: string[] = [];
  for await (const { state } of handle.watch()) {
    states.push(state);
    if (state === 'running' && states.filter((one) => one === state).length === 1)
      await handle.cancel();
  }
  assert.equal(states.at(-1), 'cancelled');
  await assert.rejects(handle.result(), JobFailedError);
  const wrong = http().call('test.square', { n: 'seven' as unknown as number });
  await assert.rejects(wrong, (error: unknown) => {
    assert.ok(error instanceof RequestRefusedError);
    return error.status === 422 && error.code === 'invalid_input';
  });
});

test('two thousand calls in flight while worker and broker are killed end in one way each', async () => {
  const ends = Array.from({ length: 2000 }, (_, n) =>
    // The SDK's own time-out of 60 s is within: a link that it opens while the broker dies may hang so long.
    bus.call('test.square', { n: n % 10 === 0 ? -n - 1 : n }, { timeout: '200s' }).then(
      ({ square }) => {
        assert.equal(square, n * n);
        return 'result';
      },
      (error: unknown) => {
        assert.ok(error instanceof Error);
        return error.name;
      },
    ),
  );
  for (const part of ['host', 'broker'] as const) {
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    await stack.crash([part]);
  }
  const counts = new Map<string, number>();
  for (const end of await Promise.all(ends)) counts.set(end, (counts.get(end) ?? 0) + 1);
  const { result = 0, JobFailedError: failed = 0, ...others } = Object.fromEntries(counts);
  const rest = Object.entries(others);
  for (const [name] of rest)
    assert.ok(['CallTimeoutError', 'UnreachableError'].includes(name), name);
  assert.equal(result + failed + rest.reduce((sum, [, count]) => sum + count, 0), 2000);
  assert.ok(result >= 1700 && failed >= 190, JSON.stringify(Object.fromEntries(counts)));
});
