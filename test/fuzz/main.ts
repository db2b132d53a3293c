/** `npm run fuzz [-- --seed SEED --minutes MINUTES]`: fuzz.ts by hand. */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, minutes: { type: 'string', default: '60' } },
});
const seed = Number(values.seed ?? randomInt(2 ** 31));
process.stdout.write(`seed ${seed}\n`);
const { requests, messages } = await fuzz(seed, Number(values.minutes) * 60_000);
process.stdout.write(
  `seed ${seed}: requests ${JSON.stringify(requests)}, messages ${messages}, nothing broke\n`,
);
