/** One AMQP connection: SASL, the tuning that makes loopback fast, and what a dropped one leaves. */
import type { Duplex } from 'node:stream';
import rhea, { type ConnectionOptions as RheaOptions } from 'rhea';
import { lockLost } from '../entity/errors.ts';
import { type Guard, guardWith } from '../guarded.ts';
import type { Namespace } from '../namespace.ts';
import type { BrokerClock } from '../time.ts';
import { traceLink } from '../trace.ts';
import { tellApart } from './dispositions.ts';
import { toAmqpError } from './faults.ts';
import { Framing } from './framing.ts';
import { watchPlaces } from './freed-delivery.ts';
import { forgiveLateFrames } from './late-frames.ts';
import { ConnectionLinks } from './links.ts';
import {
  boundDispositions,
  type ConnectionInternals,
  fillFlows,
  guardEntrances,
  receiveRaw,
  rejected,
  type SessionInternals,
  isSaslOver as saslIsOver,
  tellDirectionsApart,
} from './rhea-internals.ts';
import { Grants, type Tokens } from './tokens.ts';

export interface ConnectionOptions {
  tokens: Tokens;
  clock: BrokerClock;
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

/** `opened` is called when the client is through the handshake. */
export function serveConnection(
  namespace: Namespace,
  socket: Duplex,
  options: ConnectionOptions,
  opened: () => void,
): void {
  // What a client breaks ends its own connection, nothing else.
  const drop = (why: unknown) => {
    traceLink(`connection dropped: ${why instanceof Error ? why.message : 'broken frame'}`);
    socket.destroy();
  };
  const guard = guardWith(drop);
  const { clock, maxMessageBytes: mostBytes } = options;
  const grants = new Grants(options.tokens, () => clock.now());
  const connection = createConnection(options, grants);
  const links = new ConnectionLinks({ namespace, grants, mostBytes, clock, guard });
  connection.on('connection_open', opened);
  connection.on('session_open', ({ session }) => {
    if (session) tuneSession(session as SessionInternals, mostBytes, guard, links);
  });
  connection.on('receiver_open', (context) => links.clientSends(context));
  connection.on('sender_open', (context) => links.clientReceives(context));
  connection.on('session_close', ({ session }) => links.closeSession(session));
  connection.on('connection_close', () => links.closeAll());
  connection.on('disconnected', () => links.closeAll());
  connection.on('protocol_error', drop);
  connection.on('error', drop);
  for (const kind of ['connection', 'session', 'sender', 'receiver'])
    connection.on(`${kind}_error`, () => undefined);
  socket.on('error', () => socket.destroy());
  socket.on(
    'drain',
    guard(() => links.resume()),
  );
  frame(connection, guard);
  forgiveLateFrames(connection);
  guardEntrances(connection, guard);
  socket.on(
    'close',
    guard(() => {
      links.closeAll();
      // rhea ends its heartbeats at the peer's FIN only; a socket that was destroyed brings none.
      connection._disconnected();
    }),
  );
  tune(connection, socket, guard);
  connection.accept(socket);
  socket.resume();
}

function tuneSession(
  session: SessionInternals,
  mostBytes: number,
  guard: Guard,
  links: ConnectionLinks,
): void {
  tellApart(session);
  tellDirectionsApart(session);
  receiveRaw(session, mostBytes);
  // The client may have given room to its AMQP session, of which no link is told.
  const resume = () => void setImmediate(guard(() => links.resume()));
  fillFlows(session, resume);
  watchPlaces(session, resume);
  boundDispositions(session, () => rejected(toAmqpError(lockLost())));
}

/** rhea trusts what it is given: it is given frames that were looked at. */
function frame(connection: ConnectionInternals, guard: Guard): void {
  const deliver = connection.input.bind(connection);
  const isSaslOver = () => saslIsOver(connection);
  const framing = new Framing({ maxFrameSize, deliver, isSaslOver });
  connection.input = (chunk) => framing.push(chunk);
  const output = connection.output.bind(connection);
  connection.output = () => {
    output();
    // The outcome of SASL goes out before rhea takes note of it.
    if (!isSaslOver()) queueMicrotask(guard(() => framing.resume()));
  };
}

/**
 * The SDK leaves Nagle's algorithm on: a frame of its that gets no answer holds back the next one
 * until the kernel's delayed acknowledgement, 40 ms later. So whenever a read produced no write an
 * empty frame goes out, for the acknowledgement to ride on. Writes of one turn go out as one.
 */
function tune(connection: ConnectionInternals, socket: Duplex, guard: Guard): void {
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
    setImmediate(
      guard(() => {
        checking = false;
        if (!wrote && connection.is_open() && socket.writable) connection._write_frame();
      }),
    );
  });
}
