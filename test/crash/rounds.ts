/**
 * `npm run test:crash [rounds] [jobs]`: crash rounds, one line each.
 *
 * `--seed N` repeats what was printed with that seed; `--parts broker` or `broker+worker` kills these in
 * every round, else by chance; `--freeze` freezes instead, for longer than every lock.
 */
import { parseArgs } from 'node:util';
import { type Part, partNames } from '../support/crashable.ts';
import { type Crash, crashRound } from './round.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    parts: { type: 'string' },
    freeze: { type: 'boolean', default: false },
  },
});
const [rounds = 20, jobs = 100] = positionals.map(Number);
const frozenMs = 20_000;

const chosen = values.parts?.split('+').map((name) => {
  const part = partNames.find((known) => known === name);
  if (!part) throw new Error(`There is no part ${name}: ${partNames.join(', ')}.`);
  return part;
});

/** Mulberry32: the same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function crashesOf(random: () => number): Crash[] {
  const some = (): readonly Part[] => {
    const found = partNames.filter(() => random() < 0.4);
    return found.length > 0 ? found : partNames;
  };
  const count = values.freeze ? 1 : 1 + Math.floor(random() * (chosen ? 2 : 3));
  return Array.from({ length: count }, () => ({
    at: Math.ceil(random() * jobs * 0.9),
    parts: chosen ?? some(),
    ...(values.freeze ? { frozenMs } : {}),
  })).sort((a, b) => a.at - b.at);
}

const first = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
let accepted = 0;
for (let round = 1; round <= rounds; round++) {
  // A round of its own seed, so that one can be repeated alone.
  const seed = first + round - 1;
  const crashes = crashesOf(randomOf(seed));
  const told = crashes.map(({ at, parts }) => `${parts.join('+')} at ${at}`).join(', ');
  process.stdout.write(
    `round ${round}, --seed ${seed}: ${told}${values.freeze ? ' frozen' : ''} … `,
  );
  const result = await crashRound(jobs, crashes);
  accepted += result.accepted;
  process.stdout.write(
    `${result.accepted} accepted, all ended once; ${result.repeatedSteps} steps under way repeated; ` +
      `${result.seconds.toFixed(1)} s\n`,
  );
}
process.stdout.write(`${rounds} rounds, ${accepted} jobs accepted, none lost, none ended twice.\n`);
