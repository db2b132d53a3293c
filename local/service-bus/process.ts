/** The broker as a process of the stack, or by itself: `npm run bus`. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { endWithParent, reportReady } from '../child.ts';
import { readTopology, start } from './start.ts';

const { values } = parseArgs({
  options: {
    topology: { type: 'string', default: 'topology.json' },
    data: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '5672' },
    'admin-port': { type: 'string' },
    cert: { type: 'string' },
    key: { type: 'string' },
    /** NAME=KEY, as often as there are keys: tokens are checked then. */
    'shared-key': { type: 'string', multiple: true },
    'max-message-bytes': { type: 'string' },
    'release-locks': { type: 'boolean', default: false },
  },
});

const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));

const { queues, topics } = await readTopology(values.topology);
const broker = await start({
  queues,
  topics,
  data: values.data,
  host: values.host,
  port: Number(values.port),
  adminPort: number(values['admin-port']),
  tls:
    values.cert && values.key
      ? { cert: await readFile(values.cert), key: await readFile(values.key) }
      : undefined,
  keys: values['shared-key']?.map((pair) => {
    const [name = '', ...key] = pair.split('=');
    return { name, key: key.join('=') };
  }),
  maxMessageBytes: number(values['max-message-bytes']),
  releaseLocks: values['release-locks'],
});
if (process.send) {
  endWithParent();
  reportReady({ port: broker.port, connectionString: broker.connectionString });
} else process.stdout.write(`Service Bus on port ${broker.port}\n${broker.connectionString}\n`);
for (const signal of process.send ? (['SIGTERM'] as const) : (['SIGTERM', 'SIGINT'] as const))
  process.on(signal, () => void broker.close().then(() => process.exit(0)));
