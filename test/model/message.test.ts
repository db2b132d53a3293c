import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromMessage, type JobMessage, toMessage } from '#longhaul/model/message.js';

const job: JobMessage = {
  id: 'order:1',
  type: 't',
  attempt: 1,
  turn: 1,
  queue: 'standard',
  contentType: 'application/json',
  body: Buffer.from('{}'),
};

for (const [attempt, turn] of [
  [1, 1],
  [2, 2],
  [11, 11],
  [2, 7],
] as const)
  test(`a job's id comes back from the message of attempt ${attempt}, turn ${turn}, whatever it ends in`, () => {
    for (const id of ['order:1', 'a:2:2', 'plain', '11', 'x:7']) {
      const sent = { ...job, id, attempt, turn };
      assert.deepEqual(fromMessage(toMessage(sent)), sent);
    }
  });

test("a message that says no attempt has its sender's id, unchanged", () => {
  const { messageId, ...sent } = toMessage(job);
  assert.equal(fromMessage({ ...sent, messageId, properties: { type: 't' } }).id, 'order:1');
});
