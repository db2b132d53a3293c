/** The options of `npm run bus`: what they mean, and a readable line for each that is wrong. */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type BrokerOptions, readTopology } from './start.ts';

export const help = `npm run bus -- [options]

  --topology FILE         queues and topics, in ARM's names (default topology.json)
  --data DIR              where messages are kept; without it they live as long as the process
  --host HOST             default 127.0.0.1
  --port PORT             AMQP, WebSockets and the HTTP administration (default 5672; 0: one that is free)
  --admin-port PORT       the administration on a port of its own too (default none)
  --cert FILE --key FILE  the same port speaks TLS too
  --shared-key NAME=KEY   tokens and keys are checked; as often as there are keys
  --max-message-bytes N   default 262144
  --release-locks         locks of before end at once: nobody can hold one
  --help                  this

Locally, messages are traced with NODE_DEBUG=bus. docs/service-bus.md says what is supported.
`;

const options = {
  topology: { type: 'string', default: 'topology.json' },
  data: { type: 'string' },
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '5672' },
  'admin-port': { type: 'string' },
  cert: { type: 'string' },
  key: { type: 'string' },
  'shared-key': { type: 'string', multiple: true },
  'max-message-bytes': { type: 'string' },
  'release-locks': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

/** Every line says what is wrong with one setting. */
export class WrongSettings extends Error {
  constructor(wrong: readonly string[], options?: ErrorOptions) {
    super(wrong.join('\n'), options);
  }
}

const wrongSettings = (cause: unknown) =>
  new WrongSettings([cause instanceof Error ? cause.message : String(cause)], { cause });

/** Undefined when help is asked for. @throws WrongSettings */
export async function readCommandLine(args: string[]): Promise<BrokerOptions | undefined> {
  const values = parsed(args);
  if (values.help) return undefined;
  const wrong: string[] = [];
  const whole = (
    name: 'port' | 'admin-port' | 'max-message-bytes',
    least: number,
    most: number,
  ) => {
    const text = values[name];
    if (text === undefined) return undefined;
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= least && number <= most))
      wrong.push(`--${name} is '${text}': give a whole number from ${least} to ${most}.`);
    return number;
  };
  const port = whole('port', 0, 65_535);
  const adminPort = whole('admin-port', 0, 65_535);
  const maxMessageBytes = whole('max-message-bytes', 1024, 100 * 1024 * 1024);
  const keys = values['shared-key']?.map((pair) => {
    const [name = '', ...key] = pair.split('=');
    if (name === '' || key.join('=') === '')
      wrong.push(`--shared-key is '${name}': give NAME=KEY, both of at least one character.`);
    return { name, key: key.join('=') };
  });
  if ((values.cert === undefined) !== (values.key === undefined))
    wrong.push('--cert and --key belong together: give both files, or neither.');
  const read = async <T>(name: string, act: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await act();
    } catch (fault) {
      wrong.push(`--${name}: ${(fault as Error).message}`);
      return undefined;
    }
  };
  const topology = await read('topology', () => readTopology(values.topology));
  const cert = values.cert && (await read('cert', () => readFile(values.cert ?? '')));
  const key = values.key && (await read('key', () => readFile(values.key ?? '')));
  if (wrong.length > 0) throw new WrongSettings(wrong);
  return {
    ...topology,
    data: values.data,
    host: values.host,
    port,
    adminPort,
    tls: cert && key ? { cert, key } : undefined,
    keys,
    maxMessageBytes,
    releaseLocks: values['release-locks'],
  };
}

function parsed(args: string[]) {
  try {
    return parseArgs({ args, options }).values;
  } catch (fault) {
    throw wrongSettings(fault);
  }
}
