/** `npm run test:bus-kills -- [kills] [seed]`: the broker killed so often, under load. */
import { randomBytes } from 'node:crypto';
import { seeded } from './fuzz.ts';
import { killRounds } from './kills.ts';

const kills = Number(process.argv[2] ?? 100);
// Of the moments only: what the processes do meanwhile is theirs.
const seed = process.argv[3] ?? randomBytes(4).toString('hex');
const random = seeded(seed);
process.stdout.write(`seed ${seed}\n`);
const began = Date.now();
const result = await killRounds(kills, () => random(1000) / 1000);
const seconds = (Date.now() - began) / 1000;
process.stdout.write(`${kills} kills in ${seconds} s: ${JSON.stringify(result)}\n`, () =>
  process.exit(),
);
