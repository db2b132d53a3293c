/** `npm run fuzz:bus [-- --seed SEED --minutes MINUTES]`: an hour of fuzz.ts by hand. */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, minutes: { type: 'string', default: '60' } },
});
const seed = values.seed ?? randomBytes(4).toString('hex');
process.stdout.write(`seed ${seed}\n`);
const until = Date.now() + Number(values.minutes) * 60_000;
const rounds = await fuzz({ seed, rounds: Number.POSITIVE_INFINITY, until });
process.stdout.write(`${rounds} rounds, the broker is up\n`);
