/**
 * Azurite as a process of ours: no write of it is lost, it does not outlive its parent, and it answers
 * no foreign page. Its key is known to all.
 */
import { type IncomingMessage, Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { endWithParent } from 'longhaul-service-bus/internal/child';
import { whyForeign } from 'longhaul-service-bus/internal/foreign';
import { journaled, type LokiClass } from './loki-journal.ts';

const fromHere = createRequire(import.meta.url);
const azurite = fromHere.resolve('azurite/dist/src/azurite.js');
const fromAzurite = createRequire(azurite);
const loki = fromAzurite.resolve('lokijs');
const base = fromAzurite(loki) as LokiClass;
const cached = fromAzurite.cache[loki];
if (cached) cached.exports = journaled(base);

type Emit = (this: Server, event: string | symbol, ...args: unknown[]) => boolean;
const { emit } = Server.prototype as { emit: Emit };
const guarded: Emit = function (event, ...args) {
  const why = event === 'request' ? whyForeign(args[0] as IncomingMessage) : undefined;
  if (why === undefined) return emit.call(this, event, ...args);
  (args[1] as ServerResponse).writeHead(403, { 'content-type': 'text/plain' }).end(`${why}\n`);
  return true;
};
Object.assign(Server.prototype, { emit: guarded });

// Ctrl-C reaches every process of the terminal; Azurite must outlast the host that drains into it.
const once = process.once.bind(process);
process.once = (event: string | symbol, listener: (...args: never[]) => void) =>
  event === 'SIGINT' ? process : once(event, listener as () => void);
endWithParent();
// Every change is in a file already: there is nothing to wait for.
process.on('SIGTERM', () => process.exit(0));
fromAzurite(azurite);
