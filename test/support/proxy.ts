/** Stands between two parts of the stack, and fails them as a network and a busy service do. */
import { once } from 'node:events';
import {
  Agent,
  createServer as createHttpServer,
  type IncomingMessage,
  request,
  type ServerResponse,
} from 'node:http';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** What storage does with a request: `lost` does it, and the answer does not arrive. */
export const storageFaults = ['slow', '500', '503', '429', 'lost'] as const;
export type StorageFault = (typeof storageFaults)[number];

export interface Between {
  port: number;
  /** Ends every connection at once; new ones are taken. */
  cut(): void;
  close(): Promise<void>;
}

export interface StorageProxy extends Between {
  /** From now on a request meets one of these with that probability. */
  fail(faults: readonly StorageFault[], share: number): void;
  heal(): void;
}

const here = '127.0.0.1';

async function listen(server: Server): Promise<Between> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, here, resolve));
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut,
    close() {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export interface BusProxy extends Between {
  /**
   * What is said from now on over the connections of now does not arrive. Resolves once a client has
   * said something in vain.
   */
  hush(): Promise<void>;
}

export async function startProxy(target: number): Promise<BusProxy> {
  const hushes = new Set<() => Promise<unknown>>();
  const server = createServer((near) => {
    const far = connect(target, here);
    near.pipe(far).pipe(near);
    const hush = () => {
      near.unpipe(far);
      far.unpipe(near);
      return once(near, 'readable');
    };
    hushes.add(hush);
    near.on('close', () => hushes.delete(hush));
    far.on('error', () => near.resetAndDestroy());
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
  });
  const proxy = await listen(server);
  return {
    ...proxy,
    async hush() {
      await Promise.race([...hushes].map((hush) => hush()));
    },
  };
}

// A client waits for some seconds as a rule.
const slowMs = 3_000;

/** The same for HTTP, request by request. */
export async function startStorageProxy(
  target: number,
  random: () => number,
): Promise<StorageProxy> {
  let current: { faults: readonly StorageFault[]; share: number } | undefined;
  const agent = new Agent({ keepAlive: true });
  const server = createHttpServer(async (asked, answer) => {
    const faults = current && random() < current.share ? current.faults : [];
    const fault = faults[Math.floor(random() * faults.length)];
    if (fault === 'slow') await pause(slowMs * random());
    if (fault === '500' || fault === '503' || fault === '429')
      return refuse(asked, answer, Number(fault), random() < 0.5);
    pass({ target, agent, isLost: fault === 'lost' }, asked, answer);
  });
  const proxy = await listen(server);
  return {
    ...proxy,
    fail(faults, share) {
      current = { faults, share };
    },
    heal() {
      current = undefined;
    },
    async close() {
      await proxy.close();
      agent.destroy();
    },
  };
}

// Learn, "Status and error codes" of storage.
const codes: Record<number, string> = {
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServerBusy',
};

function refuse(
  asked: IncomingMessage,
  answer: ServerResponse,
  status: number,
  saysWhen: boolean,
): void {
  asked.resume();
  const code = codes[status] ?? '';
  const error = { 'odata.error': { code, message: { lang: 'en-US', value: code } } };
  answer.writeHead(status, {
    'content-type': 'application/json',
    'x-ms-error-code': code,
    ...(saysWhen ? { 'retry-after': '1' } : {}),
  });
  answer.end(JSON.stringify(error));
}

function pass(
  { target, agent, isLost }: { target: number; agent: Agent; isLost: boolean },
  asked: IncomingMessage,
  answer: ServerResponse,
): void {
  const { method, url, rawHeaders } = asked;
  const options = { host: here, port: target, agent, method, path: url, headers: rawHeaders };
  const further = request(
    // What is signed must arrive as it was written.
    options as unknown as Parameters<typeof request>[0],
    (answered) => {
      if (isLost) {
        answered.resume();
        answered.on('close', () => asked.socket.resetAndDestroy());
        return;
      }
      answer.writeHead(answered.statusCode ?? 502, answered.rawHeaders);
      answered.pipe(answer);
      answered.on('error', () => asked.socket.resetAndDestroy());
    },
  );
  // Storage is gone: so is whoever asked.
  further.on('error', () => asked.socket.resetAndDestroy());
  asked.pipe(further);
}
