import assert from 'node:assert/strict';
import { test } from 'node:test';
import azure from '@azure/functions';
import { Intake, OverloadedError } from '#longhaul/http/intake.js';

const request = () => new azure.HttpRequest({ url: 'http://localhost/api/jobs', method: 'POST' });
const miB = 1024 * 1024;

test('what is taken in at once is bounded, and served in full', () => {
  const intake = new Intake(100 * miB);
  const [first, second, third] = [request(), request(), request()];
  intake.hold(first, 60 * miB);
  intake.hold(second, 40 * miB);
  assert.throws(() => intake.hold(third, 1), OverloadedError);
  intake.letGo(first);
  intake.hold(third, 50 * miB);
  intake.letGo(third);
  intake.letGo(second);
  intake.hold(first, 100 * miB);
});

test('a body counts as it comes, once', () => {
  const intake = new Intake(100 * miB);
  const [first, second] = [request(), request()];
  intake.hold(second, 0);
  for (const bytes of [10, 50, 90]) intake.hold(first, bytes * miB);
  assert.throws(() => intake.hold(first, 100 * miB), OverloadedError);
  intake.letGo(first);
  intake.letGo(first);
  intake.hold(second, 100 * miB);
});

test('the only request is served, whatever its size', () => {
  const intake = new Intake(100 * miB);
  const only = request();
  intake.hold(only, 500 * miB);
  assert.throws(() => intake.hold(request(), 1), OverloadedError);
  intake.letGo(only);
  intake.hold(request(), 1);
});
