import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { fuzz } from './fuzz.ts';

test('clients that make no sense end nothing but themselves', { timeout: 120_000 }, async (t) => {
  // Another one each time; what fails is found again by it.
  const seed = randomBytes(4).toString('hex');
  const rounds = await fuzz({ seed, rounds: 400, until: Date.now() + 15_000 });
  t.diagnostic(`seed ${seed}, ${rounds} rounds: npm run fuzz:bus -- --seed ${seed} --minutes 60`);
});
