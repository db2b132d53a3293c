/** `npm run test:crash [rounds] [jobs]`: crash rounds at random moments, one line each. */
import { setTimeout as pause } from 'node:timers/promises';
import { crashRound } from './round.ts';

const [rounds = 20, jobs = 100] = process.argv.slice(2).map(Number);
let accepted = 0;
for (let round = 1; round <= rounds; round++) {
  const killAfterMs = Math.round(100 + Math.random() * 2000);
  const result = await crashRound(jobs, () => pause(killAfterMs));
  accepted += result.accepted;
  process.stdout.write(
    `round ${round}: killed after ${killAfterMs} ms, ${result.accepted} accepted, all ended once; ` +
      `${result.repeatedSteps} steps under way repeated; ${result.seconds.toFixed(1)} s\n`,
  );
}
process.stdout.write(`${rounds} rounds, ${accepted} jobs accepted, none lost, none ended twice.\n`);
