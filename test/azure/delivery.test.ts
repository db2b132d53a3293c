import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toIncoming } from '#longhaul/azure/delivery.js';
import { createSeal } from '#longhaul/azure/seal.js';
import { fromMessage } from '#longhaul/model/message.js';

test('a property that is no simple value is none: nothing that reads it falls', async () => {
  const odd = { toString: 1, valueOf: 1 };
  const received = {
    messageId: 'm',
    body: Buffer.from('{}'),
    applicationProperties: {
      ...{ type: odd, longhaul: odd, requestedBy: odd, startBefore: [odd], job: null },
      ...{ text: 'a', yes: true, count: 3, at: new Date(0) },
    },
  };
  const incoming = toIncoming('standard', received as never);
  assert.deepEqual(Object.keys(incoming.properties).sort(), ['at', 'count', 'text', 'yes']);
  const opened = await createSeal(Promise.resolve('a key')).open(incoming);
  const { type, isForeign, requestedBy } = fromMessage(opened);
  assert.deepEqual([type, isForeign, requestedBy], ['', true, undefined]);
});
