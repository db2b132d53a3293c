/** A type and a lane are paused and resumed while jobs come in; nothing is lost, and nothing given up. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '#longhaul/client/http.js';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';
import { until } from '../support/until.ts';

let stack: Awaited<ReturnType<typeof testStack>>;
before(async () => {
  stack = await testStack({ settings: { LANES: 'standard' } });
});
after(() => stack.remove());

for (const scope of ['type', 'lane'] as const)
  test(`a paused ${scope} takes jobs in and runs none until it is resumed`, async () => {
    const name = scope === 'type' ? 'test.echo' : 'standard';
    const { pauses } = connect({ url: stack.url });
    const client = createClient(stack.url);
    await pauses.pause(scope, name, { by: 'ada', why: 'the database moves' });
    // Until all workers know of it, jobs may run.
    await until('a job that waits', async () => {
      const { id } = await client.submit('test.echo', { value: 0 });
      await until('it is taken', async () => (await client.get(id)).state !== 'queued');
      return (await client.get(id)).state === 'waiting';
    });
    const ids = await Promise.all(
      Array.from(
        { length: 40 },
        async (_, value) => (await client.submit('test.echo', { value })).id,
      ),
    );
    await until('all of them wait', async () => {
      const all = await Promise.all(ids.map((id) => client.get(id)));
      return all.every(({ state }) => state === 'waiting');
    });
    const [paused] = await pauses.list();
    assert.equal(paused?.by, 'ada');
    assert.ok((paused?.waiting ?? 0) >= 40, `${paused?.waiting} wait`);
    await pauses.resume(scope, name);
    for (const id of ids) {
      const ended = await client.ended(id);
      assert.deepEqual([ended.state, ended.attempt], ['succeeded', 1]);
    }
    await until('the pause is gone', async () => (await pauses.list()).length === 0);
  });

test('what cannot be paused is told, and nothing is changed', async () => {
  const ask = async (method: string, path: string, body?: unknown) => {
    const headers = { 'content-type': 'application/json' };
    const sent = body === undefined ? {} : { body: JSON.stringify(body), headers };
    const answer = await fetch(`${stack.url}/api/pauses/${path}`, { method, ...sent });
    const { code, detail } = (await answer.json()) as { code: string; detail: string };
    return [answer.status, code, detail];
  };
  assert.deepEqual((await ask('PUT', 'type/none', {})).slice(0, 2), [422, 'unknown_job_type']);
  assert.deepEqual((await ask('PUT', 'lane/none', {})).slice(0, 2), [422, 'unknown_lane']);
  assert.deepEqual((await ask('PUT', 'queue/standard', {})).slice(0, 2), [400, 'bad_request']);
  assert.deepEqual((await ask('PUT', 'type/test.echo', { until: '2020-01-01T00:00:00Z' }))[0], 400);
  assert.deepEqual((await ask('PUT', 'type/test.echo', { forever: true }))[0], 400);
  assert.deepEqual((await ask('DELETE', 'type/test.echo')).slice(0, 2), [409, 'not_paused']);
  assert.deepEqual(await connect({ url: stack.url }).pauses.list(), []);
});
