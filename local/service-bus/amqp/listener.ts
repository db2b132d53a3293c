/** Sockets and connections: SASL, the tuning that makes loopback fast, and what a dropped one leaves. */
import { createServer, type Server, type Socket } from 'node:net';
import rhea, { type ConnectionOptions, type Container } from 'rhea';
import type { Namespace } from '../namespace.ts';
import { ConnectionLinks } from './links.ts';
import { type ConnectionInternals, receiveRaw, type SessionInternals } from './rhea-internals.ts';

const options = {
  max_frame_size: 65_536,
  channel_max: 8191,
  idle_time_out: 240_000,
  sender_options: { autosettle: false, treat_modified_as_released: false },
  // 1000 credits: a JavaScript sender that meets none sleeps a whole second.
  receiver_options: { autoaccept: false, autosettle: true, credit_window: 1000 },
  all_errors_non_fatal: true,
  reconnect: false,
};

function createContainer(): Container {
  const container = rhea.create_container({ id: 'longhaul-service-bus' });
  const mechanisms = container.sasl_server_mechanisms as unknown as {
    enable_anonymous(): void;
    enable_plain(check: () => boolean): void;
    [name: string]: unknown;
  };
  mechanisms.enable_anonymous();
  mechanisms.enable_plain(() => true);
  // The mechanism by which the .NET SDK says that a token will follow; its exchange is ANONYMOUS.
  mechanisms['MSSBCBS'] = mechanisms['ANONYMOUS'];
  return container;
}

export interface Listener {
  port: number;
  close(): Promise<void>;
}

export async function listen(
  namespace: Namespace,
  { host, port }: { host: string; port: number },
): Promise<Listener> {
  const container = createContainer();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    serve(container, namespace, socket);
  });
  await listening(server, host, port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : port,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}

function serve(container: Container, namespace: Namespace, socket: Socket): void {
  const connection = container.create_connection(
    options as unknown as ConnectionOptions,
  ) as unknown as ConnectionInternals;
  const links = new ConnectionLinks(namespace);
  connection.on('session_open', ({ session }) => {
    if (session) receiveRaw(session as SessionInternals);
  });
  connection.on('receiver_open', (context) => links.clientSends(context));
  connection.on('sender_open', (context) => links.clientReceives(context));
  connection.on('session_close', ({ session }) => links.closeSession(session));
  connection.on('connection_close', () => links.closeAll());
  connection.on('disconnected', () => links.closeAll());
  // A client's broken frame ends its own connection, nothing else.
  connection.on('protocol_error', () => socket.destroy());
  connection.on('error', () => socket.destroy());
  connection.on('connection_error', () => undefined);
  connection.on('session_error', () => undefined);
  connection.on('sender_error', () => undefined);
  connection.on('receiver_error', () => undefined);
  socket.on('error', () => socket.destroy());
  socket.on('close', () => {
    links.closeAll();
    // rhea ends its heartbeats at the peer's FIN only; a socket that was destroyed brings none.
    connection._disconnected();
  });
  tune(connection, socket);
  connection.accept(socket);
}

/**
 * The SDK leaves Nagle's algorithm on: a frame of its that gets no answer holds back the next one
 * until the kernel's delayed acknowledgement, 40 ms later. So whenever a read produced no write an
 * empty frame goes out, for the acknowledgement to ride on. Writes of one turn go out as one.
 */
function tune(connection: ConnectionInternals, socket: Socket): void {
  socket.setNoDelay(true);
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
