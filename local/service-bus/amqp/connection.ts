/** One AMQP connection: SASL, the tuning that makes loopback fast, and what a dropped one leaves. */
import type { Duplex } from 'node:stream';
import rhea, { type ConnectionOptions as RheaOptions } from 'rhea';
import type { Namespace } from '../namespace.ts';
import { traceLink } from '../trace.ts';
import { ConnectionLinks } from './links.ts';
import {
  type ConnectionInternals,
  receiveRaw,
  type SessionInternals,
  tellDirectionsApart,
} from './rhea-internals.ts';
import { Grants, type Tokens } from './tokens.ts';

export interface ConnectionOptions {
  tokens: Tokens;
  now: () => number;
  maxMessageBytes: number;
}

const maxFrameSize = 65_536;

const rheaOptions = {
  max_frame_size: maxFrameSize,
  channel_max: 8191,
  idle_time_out: 240_000,
  sender_options: { autosettle: false, treat_modified_as_released: false },
  // 1000 credits: a JavaScript sender that meets none sleeps a whole second.
  receiver_options: { autoaccept: false, autosettle: true, credit_window: 1000 },
  all_errors_non_fatal: true,
  reconnect: false,
} as unknown as RheaOptions;

/** A container each, as who a client is by PLAIN is asked of the container. */
function createConnection({ tokens }: ConnectionOptions, grants: Grants): ConnectionInternals {
  const container = rhea.create_container({ id: 'longhaul-service-bus' });
  const mechanisms = container.sasl_server_mechanisms as unknown as {
    enable_anonymous(): void;
    enable_plain(check: (name: string, key: string) => boolean): void;
    [name: string]: unknown;
  };
  mechanisms.enable_anonymous();
  mechanisms.enable_plain((name, key) => {
    const isKnown = tokens.checkKey(name, key);
    if (isKnown) grants.allowAll();
    return isKnown;
  });
  // The mechanism by which the .NET SDK says that a token will follow; its exchange is ANONYMOUS.
  mechanisms['MSSBCBS'] = mechanisms['ANONYMOUS'];
  return container.create_connection(rheaOptions) as unknown as ConnectionInternals;
}

export function serveConnection(
  namespace: Namespace,
  socket: Duplex,
  options: ConnectionOptions,
): void {
  const grants = new Grants(options.tokens, options.now);
  const connection = createConnection(options, grants);
  const links = new ConnectionLinks(namespace, grants, options.maxMessageBytes);
  connection.on('session_open', ({ session }) => {
    if (!session) return;
    tellDirectionsApart(session as SessionInternals);
    receiveRaw(session as SessionInternals, options.maxMessageBytes);
  });
  connection.on('receiver_open', (context) => links.clientSends(context));
  connection.on('sender_open', (context) => links.clientReceives(context));
  connection.on('session_close', ({ session }) => links.closeSession(session));
  connection.on('connection_close', () => links.closeAll());
  connection.on('disconnected', () => links.closeAll());
  // A client's broken frame ends its own connection, nothing else.
  const drop = (why: unknown) => {
    traceLink(`connection dropped: ${why instanceof Error ? why.message : 'broken frame'}`);
    socket.destroy();
  };
  connection.on('protocol_error', drop);
  connection.on('error', drop);
  for (const kind of ['connection', 'session', 'sender', 'receiver'])
    connection.on(`${kind}_error`, () => undefined);
  socket.on('error', () => socket.destroy());
  socket.on('drain', () => links.resume());
  socket.on('close', () => {
    links.closeAll();
    // rhea ends its heartbeats at the peer's FIN only; a socket that was destroyed brings none.
    connection._disconnected();
  });
  boundFrames(connection, drop);
  tune(connection, socket);
  connection.accept(socket);
  socket.resume();
}

/** rhea gathers a frame of any size that its head announces: it is not to. */
function boundFrames(connection: ConnectionInternals, drop: (why: unknown) => void): void {
  const input = connection.input.bind(connection);
  connection.input = (buffer) => {
    input(buffer);
    if ((connection.frame_size ?? 0) > maxFrameSize) drop(new Error('frame too large'));
  };
}

/**
 * The SDK leaves Nagle's algorithm on: a frame of its that gets no answer holds back the next one
 * until the kernel's delayed acknowledgement, 40 ms later. So whenever a read produced no write an
 * empty frame goes out, for the acknowledgement to ride on. Writes of one turn go out as one.
 */
function tune(connection: ConnectionInternals, socket: Duplex): void {
  (socket as { setNoDelay?: (on: boolean) => void }).setNoDelay?.(true);
  const output = connection.output.bind(connection);
  let corked = false;
  let wrote = false;
  connection.output = () => {
    wrote = true;
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    output();
  };
  let checking = false;
  socket.on('data', () => {
    wrote = false;
    if (checking) return;
    checking = true;
    setImmediate(() => {
      checking = false;
      if (!wrote && connection.is_open() && socket.writable) connection._write_frame();
    });
  });
}
