import assert from 'node:assert/strict';
import { test } from 'node:test';
import { surviveCrashes, testJob } from 'longhaul/testing';
import { order } from '../../examples/order.ts';

/** A bank that takes each idempotency key once. */
function createBank() {
  const charges = new Set<string>();
  return {
    charges,
    async charge(_item: string, { idempotencyKey }: { idempotencyKey: string }) {
      charges.add(idempotencyKey);
      return { id: 'c1' };
    },
    async refund() {
      charges.clear();
    },
  };
}

test('an order goes out three days after it was approved', async () => {
  const run = testJob(order(createBank()), { item: 'book' });
  await run.until('waiting');
  await run.event('approved', { by: 'ada' });
  await run.skip('3d');
  assert.deepEqual(await run.result, { item: 'book', by: 'ada' });
  assert.equal(run.files['receipt.txt']?.text, 'book: c1');
});

test('what nobody approves is paid back', async () => {
  const bank = createBank();
  const run = testJob(order(bank), { item: 'book' });
  await run.skip('2d');
  await assert.rejects(run.result, /'approved'/);
  assert.deepEqual(run.undone, ['charge']);
  assert.equal(bank.charges.size, 0);
});

test('it is charged once, wherever its worker dies', async () => {
  await surviveCrashes(async (options) => {
    const bank = createBank();
    const run = testJob(order(bank), { item: 'book' }, options);
    await run.event('approved', { by: 'ada' });
    await run.skip('3d');
    return { result: await run.result, charges: bank.charges.size };
  });
});
