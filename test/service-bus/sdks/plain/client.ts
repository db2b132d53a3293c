/** A plain AMQP 1.0 client on rhea: links, what is said on them, and what the peer answers. */
import rhea, {
  type Connection,
  type Delivery,
  type Message,
  type Receiver,
  type Sender,
} from 'rhea';
import WebSocket from 'ws';
import { type Requests, requestsTo, types } from '../../../support/requests.ts';
import type { Brief } from '../brief.ts';

export class AmqpFault extends Error {
  readonly condition: string;
  constructor(error: unknown) {
    const { condition, description } = (error ?? {}) as {
      condition?: string;
      description?: string;
    };
    super(`${condition}: ${description}`);
    this.condition = condition ?? 'none';
  }
}

type Where = Pick<Brief, 'way' | 'host' | 'port'>;

/** Certificates are trusted by the environment (NODE_EXTRA_CA_CERTS). */
export function connected({ way, host, port }: Where): Connection {
  const container = rhea.create_container();
  const options = { host, port, username: 'a', reconnect: false as const };
  const connect = container.websocket_connect(WebSocket as never) as unknown as (
    url: string,
    protocols: string[],
    options: object,
  ) => never;
  const more =
    way === 'websockets'
      ? {
          connection_details: connect(
            `wss://${host}:${port}/$servicebus/websocket`,
            ['AMQPWSB10'],
            {},
          ),
        }
      : way === 'tls'
        ? { transport: 'tls' as const }
        : {};
  const connection = container.connect({ ...options, ...more } as never);
  connection.on('disconnected', () => undefined);
  return connection;
}

const patienceMs = 15_000;

/** Resolves with the first of these events of a link, and rejects with its error. */
export async function event<T>(
  link: Sender | Receiver,
  names: string[],
  wanted: (context: rhea.EventContext) => T | undefined,
): Promise<T> {
  const emitter = link as unknown as NodeJS.EventEmitter;
  const errors = ['sender_error', 'receiver_error'];
  const listeners: [string, (context: rhea.EventContext) => void][] = [];
  const timer: { of?: NodeJS.Timeout } = {};
  try {
    return await new Promise<T>((resolve, reject) => {
      timer.of = setTimeout(
        () => reject(new Error(`waited in vain for ${names.join(', ')}`)),
        patienceMs,
      );
      for (const name of names)
        listeners.push([
          name,
          (context) => {
            const found = wanted(context);
            if (found !== undefined) resolve(found);
          },
        ]);
      for (const name of errors) listeners.push([name, () => reject(new AmqpFault(link.error))]);
      for (const [name, heard] of listeners) emitter.on(name, heard);
    });
  } finally {
    clearTimeout(timer.of);
    for (const [name, heard] of listeners) emitter.removeListener(name, heard);
  }
}

export async function openSender(connection: Connection, address: string): Promise<Sender> {
  const sender = connection.open_sender({ target: { address }, autosettle: false } as never);
  // A link that is refused is attached first, with no target.
  await event(sender, ['sendable'], () => true);
  return sender;
}

/** Sends, and waits for the outcome. With a format the message is bytes. */
export async function deliver(
  sender: Sender,
  message: Message,
  { format, sent }: { format?: number; sent?: (delivery: Delivery) => void } = {},
): Promise<void> {
  const delivery = sender.send(message, undefined, format);
  sent?.(delivery);
  const outcome = await event(sender, ['settled'], (context) =>
    context.delivery === delivery ? { error: errorOf(delivery) } : undefined,
  );
  delivery.update(true);
  if (outcome.error !== undefined) throw new AmqpFault(outcome.error);
}

const errorOf = ({ remote_state: state }: Delivery): unknown =>
  (state as { error?: unknown } | undefined)?.error;

export interface ReceiverAsk {
  deletes?: boolean | undefined;
  /** Of a session; null is the next that is free. */
  session?: string | null;
}

/** No credit is given with it. */
export async function openReceiver(
  connection: Connection,
  address: string,
  { deletes = false, session }: ReceiverAsk = {},
): Promise<Receiver> {
  const filter =
    session === undefined ? {} : { filter: { 'com.microsoft:session-filter': session } };
  const receiver = connection.open_receiver({
    source: { address, ...filter },
    ...{ credit_window: 0, autoaccept: false, autosettle: deletes },
    ...(deletes ? { snd_settle_mode: 1 } : { snd_settle_mode: 0, rcv_settle_mode: 1 }),
  } as never);
  await event(receiver, ['receiver_open'], () =>
    (receiver.source as { address?: string } | null)?.address === undefined ? undefined : true,
  );
  return receiver;
}

export interface Delivered {
  message: Message;
  delivery: Delivery;
}

/** As many messages as are wanted; fewer when no more came for `waitMs`. */
export async function received(
  receiver: Receiver,
  count: number,
  waitMs: number,
): Promise<Delivered[]> {
  const all: Delivered[] = [];
  const timer: { of?: NodeJS.Timeout } = {};
  await new Promise<void>((resolve, reject) => {
    const over = () => {
      receiver.drain_credit();
      resolve();
    };
    timer.of = setTimeout(over, waitMs);
    receiver.on('receiver_error', () => reject(new AmqpFault(receiver.error)));
    receiver.on('message', ({ message, delivery }) => {
      if (message && delivery) all.push({ message, delivery });
      timer.of?.refresh();
      if (all.length === count) resolve();
    });
    receiver.add_credit(count);
  }).finally(() => {
    clearTimeout(timer.of);
    receiver.removeAllListeners('message');
    receiver.removeAllListeners('receiver_error');
  });
  return all;
}

/** Settles, and waits until the peer has said that it is done. */
export async function settled(delivered: Delivered, settle: () => void): Promise<void> {
  const { delivery } = delivered;
  const done = event(delivery.link, ['settled'], (context) =>
    context.delivery === delivery ? { error: errorOf(delivery) } : undefined,
  );
  settle();
  const { error } = await done;
  if (error !== undefined && error !== null) throw new AmqpFault(error);
}

/** An answer of `$management`. @throws AmqpFault */
export async function asked(
  requests: Requests,
  operation: string,
  body: unknown,
  // biome-ignore lint/suspicious/noExplicitAny: bodies of answers are looked into
): Promise<any> {
  const answer = await requests.ask(`com.microsoft:${operation}`, body);
  if (answer.status >= 300)
    throw new AmqpFault({ condition: answer.condition, description: `status ${answer.status}` });
  return answer.status === 204 ? undefined : answer.body;
}

export const manage = (connection: Connection, entity: string): Promise<Requests> =>
  requestsTo(connection, `${entity}/$management`);

export const int = (n: number) => types.wrap_int(n);
