/** The command `longhaul` against an app that runs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient } from '../support/client.ts';
import { root, testStack } from '../support/stack.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
before(async () => {
  stack = await testStack();
});
after(() => stack.remove());

const bin = join(root, 'packages/longhaul-dev/bin/longhaul.js');

function longhaul(...args: string[]) {
  const env = { ...process.env, LONGHAUL_URL: stack.url };
  return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, [bin, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test('submits a job, waits for it, and shows it among others', async () => {
  const ended = await longhaul('submit', 'test.echo', '{"value":7}', '--wait', '--json');
  assert.equal(ended.code, 0, ended.stderr);
  const { id, result } = JSON.parse(ended.stdout);
  assert.deepEqual(result, { value: 7 });
  assert.match((await longhaul('jobs', '--type', 'test.echo')).stdout, new RegExp(`^${id}`, 'm'));
  assert.equal(JSON.parse((await longhaul('job', id)).stdout).state, 'succeeded');
  assert.deepEqual(JSON.parse((await longhaul('job', id, 'result')).stdout), { value: 7 });
});

test('a job that fails gives the exit code 1, and can be started again', async () => {
  const input = JSON.stringify({ log: join(stack.options.data, 'failing') });
  const failed = await longhaul('submit', 'test.failing', input, '--wait', '--json');
  assert.equal(failed.code, 1);
  const { id, state } = JSON.parse(failed.stdout);
  assert.equal(state, 'failed');
  assert.equal((await longhaul('job', id, 'retry')).code, 0);
  assert.equal((await longhaul('job', id, 'wait')).code, 1);
});

test('tells a job its events, and cancels one', async () => {
  const { stdout } = await longhaul('submit', 'test.approval', '{"key":"from the shell"}');
  const id = stdout.trim();
  await longhaul('job', id, 'event', 'paid', '{"euros":3}');
  await longhaul('job', id, 'event', 'approved', '{"by":"me"}');
  assert.equal((await longhaul('job', id, 'wait')).code, 0);
  const late = (
    await longhaul('submit', 'test.echo', '{"value":1}', '--delay', '1h')
  ).stdout.trim();
  assert.equal(JSON.parse((await longhaul('job', late, 'cancel')).stdout).state, 'cancelled');
});

test('lists, runs, pauses and resumes schedules', async () => {
  const put = await createClient(stack.url).call('/schedules/nightly', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'test.echo', input: { value: 1 }, cron: '0 0 * * *' }),
  });
  assert.equal(put.status, 201, await put.text());
  assert.match((await longhaul('schedules')).stdout, /^nightly +test\.echo +true/m);
  assert.equal(JSON.parse((await longhaul('schedules', 'nightly', 'pause')).stdout).enabled, false);
  assert.equal(JSON.parse((await longhaul('schedules', 'nightly', 'resume')).stdout).enabled, true);
  const run = (await longhaul('schedules', 'nightly', 'run')).stdout.trim();
  assert.equal((await longhaul('job', run, 'wait')).code, 0);
});

test('what an operator asks at night', async () => {
  const input = JSON.stringify({ log: join(stack.options.data, 'letters') });
  const failed = await longhaul('submit', 'test.failing', input, '--wait', '--json');
  const { id } = JSON.parse(failed.stdout);
  assert.match((await longhaul('queues')).stdout, /^standard +standard +\d/m);
  assert.match((await longhaul('workers')).stdout, /^longhaul-app /m);
  assert.match(
    (await longhaul('job', id, 'why')).stdout,
    /^It ended as failed at .*: Error: Attempt/,
  );
  assert.match((await longhaul('dead-letters')).stdout, /^\d+ +standard +test\.failing +Error/m);
  assert.match(
    (await longhaul('errors')).stdout,
    /^\d+ +test\.failing +Error +app\.js:\d+ in Object\.run/m,
  );
  assert.match((await longhaul('dead-letters', 'list')).stdout, new RegExp(id));
  assert.equal((await longhaul('dead-letters', 'discard')).code, 2, 'it asks why');
  const discard = ['discard', '--type', 'test.failing', '--why', 'seen', '--json'];
  const started = JSON.parse((await longhaul('dead-letters', ...discard)).stdout);
  assert.equal((await longhaul('job', started.id, 'wait')).code, 0);
  assert.doesNotMatch((await longhaul('dead-letters', 'list')).stdout, new RegExp(id));
  const meant = ['act', 'delete', '--type', 'test.failing', '--state', 'failed'];
  assert.match((await longhaul(...meant, '--dry-run')).stdout, /^\d+ jobs are meant/);
  assert.equal((await longhaul('job', id, 'delete')).code, 0);
  assert.equal((await longhaul('job', id)).code, 2);
});

test('pauses and resumes a type', async () => {
  const paused = await longhaul('pauses', 'pause', 'type', 'test.noted', '--why', 'to see');
  assert.match(paused.stdout, /^type +test\.noted +paused +0 .*to see$/m);
  assert.equal((await longhaul('pauses', 'resume', 'type', 'test.noted')).code, 0);
  assert.equal((await longhaul('pauses', 'resume', 'type', 'test.noted')).code, 2);
  assert.equal((await longhaul('pauses', 'pause', 'queue', 'x')).code, 2);
});

test('what cannot be done is told in a line, with the exit code 2', async () => {
  const nowhere = await longhaul('job', 'x', '--url', 'http://127.0.0.1:1');
  assert.deepEqual([nowhere.code, nowhere.stderr.split('\n').length], [2, 2], nowhere.stderr);
  const refused = await longhaul('submit', 'no.such.type');
  assert.equal(refused.code, 2);
  assert.match(refused.stderr, /no\.such\.type/);
  assert.equal((await longhaul('submit', 'test.echo', '{')).code, 2);
  assert.equal((await longhaul('no-command')).code, 2);
  assert.equal((await longhaul('submit')).code, 2);
  assert.equal((await longhaul('submit', '--help')).code, 0);
});
