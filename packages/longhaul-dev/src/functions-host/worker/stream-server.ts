import { Server as NetServer } from 'node:net';
import type { ProgrammingModel } from './core-module.ts';

/** Of Node's 511 the system drops who comes with a thousand others: he asks again after seconds. */
export const backlog = 4_096;

/** Where the programming model listens; it would choose all interfaces, a laptop should not. */
export async function startStreamServer(model: ProgrammingModel): Promise<string> {
  const listen = NetServer.prototype.listen;
  NetServer.prototype.listen = function (this: NetServer, ...args: unknown[]) {
    const callback = args.find((arg) => typeof arg === 'function') as (() => void) | undefined;
    return Reflect.apply(listen, this, [0, '127.0.0.1', backlog, callback]) as NetServer;
  } as typeof listen;
  try {
    const { HttpUri } = await model.getCapabilities({});
    if (typeof HttpUri !== 'string')
      throw new Error('This host streams HTTP: call app.setup({ enableHttpStream: true }).');
    const uri = new URL(HttpUri);
    uri.hostname = '127.0.0.1';
    return uri.href;
  } finally {
    NetServer.prototype.listen = listen;
  }
}
