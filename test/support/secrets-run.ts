/** A stack that is told secrets in each way there is; what it prints is searched by who started this. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ServiceBusClient } from '@azure/service-bus';
import { createClient } from './client.ts';
import { testStack } from './stack.ts';
import { until } from './until.ts';

const planted = process.env['PLANTED'] ?? '';

const server = createServer((_, response) => response.writeHead(410).end());
await new Promise<void>((resolve) => {
  server.listen(0, '127.0.0.1', resolve);
});
const elsewhere = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook?token=${planted}`;
const headers = {
  ...{ authorization: `Bearer ${planted}`, 'x-functions-key': planted, cookie: `a=${planted}` },
  'idempotency-key': planted,
};
const outbound = JSON.stringify({ '127.0.0.1': { authorization: `Bearer ${planted}` } });
const stack = await testStack({ settings: { OUTBOUND_HEADERS: outbound } });
const bus = new ServiceBusClient(stack.serviceBus);
try {
  const client = createClient(stack.url);
  const post = (body: unknown, more: object = {}) => client.post(body, { ...headers, ...more });
  const answers = [
    await client.call(`/jobs?code=${planted}&type=${planted}&limit=x`, { headers }),
    await client.call(`/jobs/none?code=${planted}`, { headers }),
    await post(`{"type": "test.echo", "input": ${planted}}`),
    await post({ type: 'test.echo', input: { valu: planted } }),
    await post({ type: 'test.square', input: { n: planted } }),
    await post({
      type: 'test.echo',
      input: { value: 1 },
      callback: { url: `ftp://x/?${planted}` },
    }),
    await post({ type: 'test.echo', input: { value: 1 }, callback: { url: elsewhere } }),
  ];
  const callback = { url: elsewhere };
  const input = { url: elsewhere, headers: { authorization: planted }, body: planted };
  const jobs = [
    await client.submit('test.echo', { value: planted }, { callback }),
    await client.submit('web.call', { ...input, method: 'POST' }),
    await client.submit('web.call', { url: `http://192.168.7.7/?${planted}` }),
    await client.submit('test.square', { n: -1, log: undefined, note: planted }),
  ];
  for (const { id } of jobs) await client.ended(id);
  const sender = bus.createSender('standard');
  const message = (messageId: string, body: Buffer, more: object = {}) => ({
    ...{ messageId, body, contentType: 'application/json' },
    ...{ applicationProperties: { type: 'test.square', secret: planted }, ...more },
  });
  await sender.sendMessages([
    message('no-json', Buffer.from(`{${planted}`)),
    message('no-input', Buffer.from(JSON.stringify({ n: planted }))),
    message('no-fit', Buffer.from('{}'), { correlationId: planted.repeat(20) }),
  ]);
  for (const id of ['no-json', 'no-input'])
    await until(id, () => client.ended(id).catch(() => undefined));
  await until('the callback', async () => {
    const { jobs: failed } = (await (
      await client.call('/jobs?type=longhaul.callback&state=failed')
    ).json()) as { jobs: unknown[] };
    return failed.length > 0;
  });
  // What a caller sees of jobs that are not theirs.
  const listed = await (await client.call('/jobs')).text();
  process.stdout.write(`\nLISTED ${listed.replaceAll('\n', ' ')}\n`);
  process.stdout.write(`\nANSWERED ${answers.map(({ status }) => status)}\n`);
} finally {
  await bus.close();
  await stack.remove();
  server.close();
  server.closeAllConnections();
}
