/** `npm run test:crash [rounds] [jobs]`: crash rounds, parts and moments by chance, one line each. */
import { type Part, partNames } from '../support/crashable.ts';
import { crashRound } from './round.ts';

const [rounds = 20, jobs = 100] = process.argv.slice(2).map(Number);

const some = (): readonly Part[] => {
  const chosen = partNames.filter(() => Math.random() < 0.4);
  return chosen.length > 0 ? chosen : partNames;
};

let accepted = 0;
for (let round = 1; round <= rounds; round++) {
  const crashes = Array.from({ length: 1 + Math.floor(Math.random() * 3) }, () => ({
    at: Math.ceil(Math.random() * jobs * 0.9),
    parts: some(),
  })).sort((a, b) => a.at - b.at);
  const told = crashes.map(({ at, parts }) => `${parts.join('+')} at ${at}`).join(', ');
  process.stdout.write(`round ${round}: ${told} … `);
  const result = await crashRound(jobs, crashes);
  accepted += result.accepted;
  process.stdout.write(
    `${result.accepted} accepted, all ended once; ${result.repeatedSteps} steps under way repeated; ` +
      `${result.seconds.toFixed(1)} s\n`,
  );
}
process.stdout.write(`${rounds} rounds, ${accepted} jobs accepted, none lost, none ended twice.\n`);
