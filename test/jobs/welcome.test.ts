import assert from 'node:assert/strict';
import { test } from 'node:test';
import { welcome } from './welcome.ts';

test('a welcome is sent once, under the job’s key', async () => {
  const sent: string[] = [];
  const mailer = {
    async send(to: string, _text: string, { idempotencyKey }: { idempotencyKey: string }) {
      sent.push(`${to} ${idempotencyKey}`);
      return { id: 'm1' };
    },
  };
  const job = {
    id: 'j1',
    signal: new AbortController().signal,
    step: (_name: string, act: () => Promise<unknown>) => act(),
  };
  const { definition } = welcome(mailer, 'Longhaul');
  const result = await definition.run({ email: 'ada@example.com' } as never, job as never);
  assert.deepEqual(result, { mail: 'm1' });
  assert.deepEqual(sent, ['ada@example.com j1 send']);
});
