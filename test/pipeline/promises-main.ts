/**
 * `npm run test:promises -- --runs 20000 --seed 7`: the promises for as many made-up programs as one
 * has time for, without the test runner, which takes most of the time.
 */
import { parseArgs } from 'node:util';
import { check, keepsItsPromises, runsEachStepOnce } from './properties.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '10000' }, seed: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const numRuns = Number(values.runs);
process.stdout.write(`seed ${seed}, ${numRuns} programs\n`);
const began = Date.now();
await check(keepsItsPromises, { numRuns, seed });
await check(runsEachStepOnce, { numRuns: Math.ceil(numRuns / 10), seed });
process.stdout.write(`all kept their promises, in ${(Date.now() - began) / 1000} s\n`);
