/** One package, several apps: what each registers, by its settings. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceBusClient } from '@azure/service-bus';
import { BlobServiceClient } from '@azure/storage-blob';
import { createClient, type Status } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

test('an app with API off works its lanes and answers probes, nothing else', async () => {
  const stack = await testStack({ settings: { API: 'off', LANES: 'heavy' } });
  try {
    assert.deepEqual(stack.functions.toSorted(), [
      'health-live',
      'health-ready',
      'work-heavy',
      'work-heavy-keyed',
    ]);
    const client = createClient(stack.url);
    assert.equal((await client.call('/health/ready')).status, 200);
    assert.equal((await client.call('/jobs')).status, 404);
  } finally {
    await stack.remove();
  }
});

test('with INBOX=events a blob starts its job once its event is in the queue, and once only', async () => {
  const stack = await testStack({ settings: { INBOX: 'events' } });
  const bus = new ServiceBusClient(stack.serviceBus);
  try {
    const inbox = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient('inbox');
    const client = createClient(stack.url);
    await until('ready', async () => (await client.call('/health/ready')).ok);
    const name = 'report/blobs/cities.json';
    const input = JSON.stringify({ data: 'city,price\nDelft,10\n', groupBy: ['city'] });
    const { etag } = await inbox.uploadBlockBlob(name, input, input.length).then((r) => r.response);
    const event = {
      specversion: '1.0',
      id: '1',
      type: 'Microsoft.Storage.BlobCreated',
      source: '/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a',
      subject: `/blobServices/default/containers/inbox/blobs/${name}`,
      data: { api: 'PutBlob', eTag: etag, url: `https://a.blob.core.windows.net/inbox/${name}` },
    };
    const sender = bus.createSender('inbox');
    // Event Grid delivers at least once.
    for (let times = 0; times < 2; times++) await sender.sendMessages({ body: event });
    const list = async () => {
      const response = await client.call('/jobs?type=report');
      return ((await response.json()) as { jobs: Status[] }).jobs;
    };
    await until('the job ends', async () =>
      (await list()).some(({ state }) => state === 'succeeded'),
    );
    await until('both events are gone', async () => {
      const receiver = bus.createReceiver('inbox');
      const left = await receiver.peekMessages(1);
      await receiver.close();
      return left.length === 0;
    });
    assert.equal((await list()).length, 1);
  } finally {
    await bus.close();
    await stack.remove();
  }
});
