import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ServiceBusClient } from '@azure/service-bus';

const command = fileURLToPath(new URL(import.meta.resolve('#service-bus/process.js')));

/** Starts the command as a user does, passes one message through, and answers what it logged. */
async function logOf(env: NodeJS.ProcessEnv): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'longhaul-trace-'));
  const topology = join(folder, 'topology.json');
  await writeFile(topology, JSON.stringify({ queues: [{ name: 'q' }] }));
  const broker = spawn(process.execPath, [command, '--topology', topology, '--port', '0'], { env });
  try {
    let logged = '';
    broker.stderr.on('data', (chunk) => {
      logged += chunk;
    });
    let said = '';
    while (!/\n.*\n/.test(said)) said += (await once(broker.stdout, 'data'))[0];
    const [, connection = ''] = said.split('\n');
    const client = new ServiceBusClient(connection);
    await client.createSender('q').sendMessages({ body: 1, messageId: 'mine' });
    const receiver = client.createReceiver('q');
    const [message] = await receiver.receiveMessages(1);
    assert.ok(message);
    await receiver.completeMessage(message);
    await client.close();
    return logged;
  } finally {
    const gone = once(broker, 'exit');
    broker.kill('SIGTERM');
    await gone;
    await rm(folder, { recursive: true, force: true });
  }
}

test('what happens to a message is logged when asked, and only then', async () => {
  const { NODE_DEBUG: _, ...env } = process.env;
  const logged = await logOf({ ...env, NODE_DEBUG: 'bus' });
  for (const what of ['enqueued', 'delivered', 'complete'])
    assert.match(logged, new RegExp(`q #1 mine: ${what}`));
  assert.equal(await logOf(env), '');
});
