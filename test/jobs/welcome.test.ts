import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testJob } from 'longhaul/testing';
import { welcome } from './welcome.ts';

test('a welcome is sent once, under the job’s key', async () => {
  const sent: string[] = [];
  const mailer = {
    async send(to: string, _text: string, { idempotencyKey }: { idempotencyKey: string }) {
      sent.push(`${to} ${idempotencyKey}`);
      return { id: 'm1' };
    },
  };
  const run = testJob(welcome(mailer, 'Longhaul'), { email: 'ada@example.com' });
  assert.deepEqual(await run.result, { mail: 'm1' });
  assert.deepEqual(sent, [`ada@example.com ${run.id} send`]);
});
