/**
 * `npm run test:crash [rounds] [jobs]`: crash rounds, one line each.
 *
 * `--seed N` repeats what was printed with that seed. What happens in each round:
 * `--parts broker` or `broker+worker` kills these, else parts by chance are killed;
 * `--away 60` lets them be away so many seconds; `--freeze` freezes them instead, for longer than every lock;
 * `--cut` cuts every connection while all live; `--storage slow|500|503|429|lost|mixed` lets storage fail
 * for some seconds. The last two go alone or, with `--parts`, beside a kill.
 * `--hour` spreads 20,000 jobs over an hour, with a fault of any kind each minute and locks as deployed;
 * `--minutes 5` does so for so long.
 */
import { parseArgs } from 'node:util';
import { type Part, partNames } from '../support/crashable.ts';
import { type StorageFault, storageFaults } from '../support/proxy.ts';
import { faultsOf, faultsOverTime, randomOf, told, type Wanted } from './faults.ts';
import { crashRound } from './round.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string' },
    parts: { type: 'string' },
    away: { type: 'string' },
    storage: { type: 'string' },
    freeze: { type: 'boolean', default: false },
    cut: { type: 'boolean', default: false },
    hour: { type: 'boolean', default: false },
    minutes: { type: 'string' },
  },
});
const minutes = Number(values.minutes ?? (values.hour ? 60 : 0));
const [rounds = minutes ? 1 : 20, jobs = minutes ? Math.ceil((20_000 / 60) * minutes) : 100] =
  positionals.map(Number);

const oneOf = <T extends string>(what: string, known: readonly T[], name: string): T => {
  const found = known.find((one) => one === name);
  if (!found) throw new Error(`There is no ${what} ${name}: ${known.join(', ')}.`);
  return found;
};

const parts = values.parts?.split('+').map((name): Part => oneOf('part', partNames, name));
const storage = values.storage
  ?.split('|')
  .flatMap((name): readonly StorageFault[] =>
    name === 'mixed' ? storageFaults : [oneOf('fault', storageFaults, name)],
  );
const wanted: Wanted = {
  ...{ parts, storage, cut: values.cut },
  freezeMs: values.freeze ? 20_000 : undefined,
  awayMs: values.away === undefined ? undefined : Number(values.away) * 1000,
};

const first = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
let accepted = 0;
for (let round = 1; round <= rounds; round++) {
  // A round of its own seed, so that one can be repeated alone.
  const seed = first + round - 1;
  const random = randomOf(seed);
  const faults = minutes ? faultsOverTime(random, jobs, minutes) : faultsOf(random, jobs, wanted);
  process.stdout.write(`round ${round}, --seed ${seed}: ${faults.map(told).join(', ')} …\n`);
  const pace = minutes ? { everyMs: (minutes * 60_000) / jobs, lock: 'own' } : {};
  const result = await crashRound(jobs, faults, { random, ...pace });
  accepted += result.accepted;
  process.stdout.write(
    `round ${round}, --seed ${seed}: ${result.accepted} accepted, all ended once, ` +
      `${result.occurrences} due times, ${result.callbacks} callbacks; ` +
      `${result.repeatedSteps} steps under way repeated; slowest ${result.slowest}; ${result.seconds.toFixed(1)} s\n`,
  );
}
process.stdout.write(`${rounds} rounds, ${accepted} jobs accepted, none lost, none ended twice.\n`);
