/** Server-sent events from records and announcements in memory. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import azure, { type HttpResponseInit, type InvocationContext } from '@azure/functions';
import { z } from 'zod';
import { retry } from '#longhaul/admit/retry.js';
import { defineJob } from '#longhaul/define/define-job.js';
import { woken } from '#longhaul/fate/waiting.js';
import { registerEvents } from '#longhaul/http/events.js';
import { Feed } from '#longhaul/http/feed.js';
import { registered } from '#longhaul/http/route.js';
import { Told } from '#longhaul/http/told.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import type { JobRecord } from '#longhaul/model/job-record.js';
import { World } from '../pipeline/world/world.ts';

const type = defineJob({ type: 't', input: z.object({}), run: async () => ({}) });
const world = new World([type], () => 'none');
const timers = new Set<() => void>();
const ends = new Set<() => void>();
const announced: { name: string; value: string }[] = [];
/** Of the latest, as the port promises. */
const after = async (_: string, name: string) =>
  announced.filter((one) => one.name > name).slice(0, 1000);
let now = Date.parse('2026-11-21T12:00:00Z');

before(() => {
  const app = world.app();
  const clock = {
    now: () => new Date(now),
    after(ms: number, run: () => void) {
      // The end of a stream is rung by the test of it.
      const of = ms >= 180_000 ? ends : timers;
      const timer = () => run();
      of.add(timer);
      return () => of.delete(timer);
    },
  };
  registerEvents({ ...app, clock, notes: { ...app.notes, after } });
});

async function ask(path: string, last?: string): Promise<HttpResponseInit> {
  const [name, id] = path.startsWith('/jobs/')
    ? ['watch-job', path.split('/')[2] ?? '']
    : ['watch-ends', ''];
  const route = registered.find((one) => one.name === name) ?? assert.fail();
  const url = new URL(`http://localhost/api${path}`);
  const request = new azure.HttpRequest({
    ...{ url: url.href, method: 'GET', params: { id } },
    query: Object.fromEntries(url.searchParams),
    headers: last === undefined ? {} : { 'last-event-id': last },
  });
  return route.handle(request, {} as InvocationContext);
}

/** The events of an answer, as they come. */
function events(answer: HttpResponseInit) {
  const reader = (answer.body as unknown as ReadableStream<Uint8Array>).getReader();
  let text = '';
  return {
    /** Until there are so many, or the stream ends. */
    async take(count: number): Promise<{ id: string; data: Record<string, unknown> }[]> {
      for (;;) {
        const found = [...text.matchAll(/^id: (.*)\nevent: .*\ndata: (.*)$/gm)];
        if (found.length >= count)
          return found.map(([, id = '', data = '{}']) => ({ id, data: JSON.parse(data) }));
        const { done, value } = await reader.read();
        if (done) throw new Error(`${found.length} of ${count} came`);
        text += Buffer.from(value).toString();
      }
    },
    close: () => reader.cancel(),
  };
}

const settled = async () => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};
const look = async () => {
  await settled();
  const due = [...timers];
  timers.clear();
  for (const run of due) run();
  await settled();
};

// None of these expires.
const late = '2099-01-01T00:00:00.000Z';

const record = (more: Partial<JobRecord>): JobRecord => ({
  ...{ id: idOfOccurrence('watched', new Date(now)), type: 't', state: 'queued' },
  ...{ lane: 'standard', queue: 'standard', createdAt: new Date(now).toISOString() },
  ...{ attempt: 1, turn: 1 },
  ...(more as object),
});

test('turns that come and go between two looks are told', async () => {
  const first = record({});
  world.change(first);
  const stream = events(await ask(`/jobs/${first.id}/events`));
  await stream.take(1);
  // Runs, waits, is woken, runs, waits, is woken, runs, ends.
  const again = (one: JobRecord) => woken({ ...one, state: 'waiting', waits: {} }, true);
  const twice = again(again(first));
  world.change({
    ...{ ...twice, state: 'succeeded', startedAt: first.createdAt },
    finishedAt: first.createdAt,
    keepUntil: late,
  });
  await look();
  const turn = ['queued', 'running', 'waiting'];
  const told = (await stream.take(9)).map(({ data }) => data['state']);
  assert.deepEqual(told, [...turn, ...turn, 'queued', 'running', 'succeeded']);
  // Who comes back goes on where it was, and who comes new is told of the present.
  const back = events(await ask(`/jobs/${first.id}/events`, '2.1'));
  const rest = (await back.take(4)).map(({ data }) => data['state']);
  assert.deepEqual(rest, ['waiting', 'queued', 'running', 'succeeded']);
  assert.equal((await events(await ask(`/jobs/${first.id}/events`)).take(3)).length, 3);
});

test('a failure and a new start between two looks are told', async () => {
  const first = record({ id: idOfOccurrence('retried', new Date(now)), state: 'running' });
  world.change({ ...first, startedAt: first.createdAt });
  const stream = events(await ask(`/jobs/${first.id}/events`));
  await stream.take(2);
  const finishedAt = first.createdAt;
  world.change({
    ...first,
    state: 'failed',
    finishedAt,
    keepUntil: late,
    input: { json: '{}' },
  });
  await retry(world.app(), first.id);
  await look();
  const told = (await stream.take(4)).map(({ data }) => data['state']);
  assert.deepEqual(told, ['queued', 'running', 'failed', 'queued']);
  await stream.close();
});

test('who has heard the end and comes again is told not to', async () => {
  const at = new Date(now).toISOString();
  const ended = record({
    ...{ id: idOfOccurrence('ended', new Date(now)), state: 'succeeded' },
    ...{ startedAt: at, finishedAt: at },
  });
  world.change(ended);
  const all = await events(await ask(`/jobs/${ended.id}/events`)).take(3);
  assert.equal((await ask(`/jobs/${ended.id}/events`, all.at(-1)?.id)).status, 204);
  assert.equal((await ask(`/jobs/${ended.id}/events`, all.at(0)?.id)).status, 200);
});

const announce = (count: number) => {
  for (let n = 0; n < count; n++) {
    const finishedAt = new Date(now - count + n).toISOString();
    const name = `${finishedAt}_${String(announced.length).padStart(8, '0')}`;
    const value = { job: String(announced.length), type: 't', state: 'succeeded', finishedAt };
    announced.push({ name, value: JSON.stringify(value) });
  }
};

test('all ends are told, however many there are at once, and again to who comes back', async () => {
  now += 3_600_000;
  const stream = events(await ask('/events?requestedBy=ada'));
  now += 10_000;
  announce(2_500);
  await look();
  const told = await stream.take(2_500);
  assert.equal(new Set(told.map(({ data }) => data['job'])).size, 2_500);
  now += 10_000;
  announce(1);
  await look();
  const more = await stream.take(2_501);
  assert.equal(more.length, 2_501, 'none is told twice');
  const back = events(await ask('/events?requestedBy=ada', told[9]?.id));
  assert.equal((await back.take(2_491))[0]?.data['job'], told[10]?.data['job']);
  await back.close();
  await stream.close();
});

test('a stream ends by itself, and goes on for who comes back', async () => {
  const watched = record({ id: idOfOccurrence('long', new Date(now)) });
  world.change(watched);
  const stream = events(await ask(`/jobs/${watched.id}/events`));
  const [first] = await stream.take(1);
  for (const run of [...ends]) run();
  await assert.rejects(stream.take(2), /1 of 2 came/, 'it is over');
  world.change({
    ...watched,
    state: 'succeeded',
    finishedAt: watched.createdAt,
    keepUntil: late,
  });
  const back = events(await ask(`/jobs/${watched.id}/events`, first?.id));
  await look();
  const rest = (await back.take(1)).map(({ data }) => data['state']);
  assert.equal(rest.at(-1), 'succeeded');
  await back.close();
});

test('what was told long ago is not remembered', () => {
  const told = new Told();
  for (let minute = 0; minute < 600; minute++) {
    const at = new Date(now + minute * 60_000).toISOString();
    for (let n = 0; n < 100; n++) assert.ok(told.tell(`${at}_${n}`));
    assert.equal(told.tell(`${at}_7`), false);
    told.forgetBefore(at);
  }
  assert.equal(told.size, 100);
});

test('one stream that broke does not keep the others from being told', async () => {
  const clock = { now: () => new Date(now), after: () => () => undefined };
  const feed = new Feed(async () => new Map([['x', 1]]), clock, 1);
  const told: number[] = [];
  feed.watch('x', () => {
    throw new Error('closed');
  });
  feed.watch('x', (news) => void told.push(news));
  await settled();
  assert.deepEqual(told, [1]);
});
