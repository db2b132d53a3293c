import assert from 'node:assert/strict';
import { test } from 'node:test';
import azure from '@azure/functions';
import { Intake, OverloadedError } from '../../functions/http/intake.ts';

const request = () => new azure.HttpRequest({ url: 'http://localhost/api/jobs', method: 'POST' });
const kiB = 1024;

test('what is taken in at once is bounded, and served in full', () => {
  const intake = new Intake(100 * kiB);
  const [first, second, third] = [request(), request(), request()];
  intake.hold(first, 60 * kiB);
  intake.hold(second, 40 * kiB);
  assert.throws(() => intake.hold(third, 1), OverloadedError);
  intake.letGo(first);
  intake.hold(third, 50 * kiB);
  intake.letGo(third);
  intake.letGo(second);
  intake.hold(first, 100 * kiB);
});

test('a body counts as it comes, once', () => {
  const intake = new Intake(100 * kiB);
  const [first, second] = [request(), request()];
  intake.hold(second, 0);
  for (const bytes of [10, 50, 90]) intake.hold(first, bytes * kiB);
  assert.throws(() => intake.hold(first, 99 * kiB), OverloadedError);
  intake.letGo(first);
  intake.letGo(first);
  intake.hold(second, 100 * kiB);
});

test('the only request is served, whatever its size', () => {
  const intake = new Intake(100 * kiB);
  const only = request();
  intake.hold(only, 500 * kiB);
  assert.throws(() => intake.hold(request(), 1), OverloadedError);
  intake.letGo(only);
  intake.hold(request(), 1);
});
