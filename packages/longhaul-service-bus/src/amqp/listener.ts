/**
 * One port for everything: AMQP, AMQP over WebSockets, the HTTP administration, and with a certificate
 * all of them over TLS. The first byte tells which.
 */
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';
import { splitUrl } from '../address.ts';
import { administration } from '../admin/routes.ts';
import { whyForeign } from '../foreign.ts';
import { guardWith, tell } from '../guarded.ts';
import type { Namespace } from '../namespace.ts';
import { type ConnectionOptions, serveConnection } from './connection.ts';

export interface Certificate {
  cert: string | Buffer;
  key: string | Buffer;
}

export interface ListenerOptions extends ConnectionOptions {
  host: string;
  port: number;
  /** For the administration alone, as the official emulator has it on 5300. */
  adminPort?: number | undefined;
  tls?: Certificate | undefined;
}

export interface Listener {
  port: number;
  adminPort: number | undefined;
  close(): Promise<void>;
}

const webSocketPath = '/$servicebus/websocket';
// Who connects and is not through the handshake after so long is let go.
const silenceMs = 30_000;

export async function listen(namespace: Namespace, options: ListenerOptions): Promise<Listener> {
  const sockets = new Set<Duplex>();
  const keep = (socket: Duplex) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
  };
  const { clock } = options;
  const hurry = (socket: Duplex) => clock.after(silenceMs, () => socket.destroy());
  const amqp = (socket: Duplex, opened: () => void) =>
    serveConnection(namespace, socket, options, opened);
  const http = createHttp(namespace, options, (stream) => {
    keep(stream);
    const opened = hurry(stream);
    stream.on('close', opened);
    amqp(stream, opened);
  });
  const route = (secure: TlsServer | undefined) =>
    guardWith(tell('A connection could not be served'))((socket: Socket) => {
      keep(socket);
      const done = hurry(socket);
      socket.on('close', done);
      tellApart(socket, { amqp, http, secure, done });
    });
  const handshakeTimeout = silenceMs;
  const secure =
    options.tls && createTlsServer({ ...options.tls, handshakeTimeout }, route(undefined));
  secure?.on('tlsClientError', (_, socket) => socket.destroy());
  const server = createServer(route(secure));
  await listening(server, options.host, options.port);
  const admin = options.adminPort === undefined ? undefined : createServer(route(secure));
  if (admin) await listening(admin, options.host, options.adminPort ?? 0);
  return {
    port: portOf(server),
    adminPort: admin && portOf(admin),
    async close() {
      const closed = [server, admin].map(
        (each) => each && new Promise((resolve) => each.close(resolve)),
      );
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
  };
}

interface Ways {
  amqp(socket: Duplex, opened: () => void): void;
  http: HttpServer;
  secure: TlsServer | undefined;
  /** The client is through what it has to hurry with. */
  done(): void;
}

/** AMQP begins with its name, TLS with a handshake record, HTTP with a method: none with an A. */
function tellApart(socket: Socket, { amqp, http, secure, done }: Ways): void {
  const look = guardWith(() => socket.destroy())(() => {
    const first = socket.read(1) as Buffer | null;
    // Told of more than there is: it is told again.
    if (!first) return;
    socket.off('readable', look);
    socket.unshift(first);
    if (first[0] === 0x41) {
      amqp(socket, done);
      return;
    }
    // HTTP and TLS have time-outs of their own.
    done();
    if (first[0] !== 0x16) http.emit('connection', socket);
    else if (secure) secure.emit('connection', socket);
    else socket.destroy();
  });
  socket.on('readable', look);
}

function createHttp(
  namespace: Namespace,
  options: ListenerOptions,
  serve: (stream: Duplex) => void,
): HttpServer {
  const handle = administration(namespace, options.tokens);
  const server = createHttpServer((request, response) => {
    const foreign = whyForeign(request);
    if (foreign === undefined) guardWith(() => response.destroy())(handle)(request, response);
    else response.writeHead(403, { 'content-type': 'text/plain' }).end(`Refused: ${foreign}.\n`);
  });
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: 2 * options.maxMessageBytes,
    handleProtocols: (offered) => (offered.has('AMQPWSB10') ? 'AMQPWSB10' : false),
  });
  server.on('upgrade', (request, socket, head) =>
    guardWith(() => socket.destroy())(() => {
      if (whyForeign(request) !== undefined) socket.end('HTTP/1.1 403 Forbidden\r\n\r\n');
      else if (splitUrl(request.url).path !== webSocketPath) socket.destroy();
      else
        webSockets.handleUpgrade(request, socket, head, (webSocket) =>
          serve(streamOf(webSocket, socket)),
        );
    })(),
  );
  return server;
}

/**
 * Our end is that of the TCP connection: on a closing frame, which it does not answer, the Java SDK's
 * client turns in circles until the connection is gone. A closing frame of the client is answered.
 */
function streamOf(webSocket: WebSocket, socket: Duplex): Duplex {
  const stream = createWebSocketStream(webSocket);
  stream._final = (done) => {
    socket.end();
    done();
  };
  return stream;
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
}

const portOf = (server: Server) => (server.address() as { port: number }).port;
