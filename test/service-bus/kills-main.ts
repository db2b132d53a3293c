/** `npm run test:bus-kills -- [kills]`: the broker killed so often, under load. */
import { killRounds } from './kills.ts';

const kills = Number(process.argv[2] ?? 100);
const began = Date.now();
const result = await killRounds(kills);
const seconds = (Date.now() - began) / 1000;
process.stdout.write(`${kills} kills in ${seconds} s: ${JSON.stringify(result)}\n`, () =>
  process.exit(),
);
