/** Order and state of a key, for jobs that fast-check makes up, among troubles. */
import { test } from 'node:test';
import { fc } from '../support/properties.ts';
import { keepsOrderAndState, keyed } from './keyed.ts';

test('jobs of a key begin in order, and each that succeeds counts once', () =>
  fc.assert(fc.asyncProperty(keyed, keepsOrderAndState), {
    numRuns: Number(process.env['RUNS'] ?? 150),
  }));
