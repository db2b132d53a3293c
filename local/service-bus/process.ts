/** The broker as a process of the stack. */
import { parseArgs } from 'node:util';
import { endWithParent, reportReady } from '../child.ts';
import { readTopology, start } from './start.ts';

const { values } = parseArgs({
  options: {
    topology: { type: 'string', default: 'topology.json' },
    data: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '5672' },
    'release-locks': { type: 'boolean', default: false },
  },
});

const broker = await start({
  queues: await readTopology(values.topology),
  data: values.data,
  host: values.host,
  port: Number(values.port),
  releaseLocks: values['release-locks'],
});
if (process.send) {
  endWithParent();
  reportReady({ port: broker.port, connectionString: broker.connectionString });
} else process.stdout.write(`Service Bus on port ${broker.port}\n${broker.connectionString}\n`);
for (const signal of process.send ? (['SIGTERM'] as const) : (['SIGTERM', 'SIGINT'] as const))
  process.on(signal, () => void broker.close().then(() => process.exit(0)));
