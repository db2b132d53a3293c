/** Azurite as a process of ours: no write of it is lost, and it does not outlive its parent. */
import { createRequire } from 'node:module';
import { endWithParent } from './child.ts';
import { journaled, type LokiClass } from './loki-journal.ts';

const fromHere = createRequire(import.meta.url);
const azurite = fromHere.resolve('azurite/dist/src/azurite.js');
const fromAzurite = createRequire(azurite);
const loki = fromAzurite.resolve('lokijs');
const base = fromAzurite(loki) as LokiClass;
const cached = fromAzurite.cache[loki];
if (cached) cached.exports = journaled(base);

// Ctrl-C reaches every process of the terminal; Azurite must outlast the host that drains into it.
const once = process.once.bind(process);
process.once = (event: string | symbol, listener: (...args: never[]) => void) =>
  event === 'SIGINT' ? process : once(event, listener as () => void);
endWithParent();
// Every change is in a file already: there is nothing to wait for.
process.on('SIGTERM', () => process.exit(0));
fromAzurite(azurite);
