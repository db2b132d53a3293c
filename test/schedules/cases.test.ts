/** What once broke the promises of schedules, each by its name. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';
import { nextTime } from '#longhaul/define/times.js';
import { BadRequestError, ScheduleNotFoundError } from '#longhaul/errors.js';
import { toDefinition } from '#longhaul/http/schedule-body.js';
import { idOfOccurrence } from '#longhaul/model/id.js';
import type { Schedule, ScheduleDefinition } from '#longhaul/model/schedule.js';
import {
  findSchedule,
  patchSchedule,
  putSchedule,
  removeSchedule,
  runNow,
} from '#longhaul/schedules/change.js';
import { tick } from '#longhaul/schedules/tick.js';
import { type Run, Schedulers, type Trouble } from './world.ts';

const second = 1_000;
const minute = 60 * second;
const base = { type: 'lasting', overlap: 'skip', misfire: 'once', enabled: true } as const;
const lasting = (ms: number, more: Partial<ScheduleDefinition>): ScheduleDefinition => ({
  ...{ ...base, input: { ms } },
  ...more,
});

/** A world with one schedule, and someone who looks at it every fifteen seconds. */
async function worldWith(definition: ScheduleDefinition) {
  const world = new Schedulers();
  const one = {
    world,
    app: world.app(),
    isOn: true,
    get schedule(): Schedule {
      return world.schedules.all[0] ?? assert.fail('no schedule');
    },
    /** The due times of what has started, in seconds. */
    get dues(): number[] {
      return one.sent((run) => run.starts > 0);
    },
    sent(is: (run: Run) => boolean = () => true): number[] {
      return [...world.runs.values()]
        .filter(is)
        .map(({ due }) => (due - world.began) / second)
        .sort((a, b) => a - b);
    },
    after: (ms: number) => world.until(world.now + ms),
    patch: (changes: Partial<ScheduleDefinition>) =>
      patchSchedule(world.app(), 's', (known) => ({ ...known, ...changes })),
  };
  await putSchedule(one.app, 's', definition);
  world.lookFrom(
    world.now,
    () => 0,
    () => one.isOn,
  );
  return one;
}

const upTo = (end: number, step: number) =>
  Array.from({ length: Math.floor(end / step) }, (_, n) => (n + 1) * step);

describe('overlap is judged when a due time has come', () => {
  for (const overlap of ['skip', 'queue', 'allow'] as const)
    test(`a cron by the second runs at each of its times ('${overlap}')`, async () => {
      const one = await worldWith(lasting(400, { cron: '*/5 * * * * *', overlap }));
      await one.after(2 * minute + second);
      assert.deepEqual(one.dues, upTo(120, 5));
      assert.deepEqual(one.schedule.counts, {
        ...{ runs: 24 + (overlap === 'allow' ? 3 : 1), skipped: 0 },
        ...{ succeeded: 24, failed: 0, missed: 0 },
      });
      for (const { due, startedAt } of one.world.runs.values())
        if (startedAt !== undefined) assert.equal(startedAt, due, 'at its second');
    });

  test('what comes while a run is under way is skipped, what comes after it is not', async () => {
    const one = await worldWith(lasting(12 * second, { cron: '*/5 * * * * *' }));
    await one.after(46 * second);
    // 5 to 17 holds up 10 and 15; 20 to 32 holds up 25 and 30.
    assert.deepEqual(one.dues, [5, 20, 35]);
    assert.equal(one.schedule.counts.skipped, 6);
  });

  test('also when nobody looked before the run ended', async () => {
    const one = await worldWith(lasting(3_500, { cron: '*/2 * * * * *' }));
    await one.after(47 * second);
    assert.deepEqual(one.dues, [2, 6, 10, 14, 18, 22, 26, 30, 34, 38, 42, 46]);
    for (const { due, startedAt } of one.world.runs.values())
      assert.equal(startedAt, due, 'what came while it ran does not run after it');
  });

  test('a run by hand that ends beside another frees nobody', async () => {
    const one = await worldWith(lasting(100 * second, { cron: '* * * * *' }));
    await one.after(61 * second);
    await one.patch({ input: { ms: second } });
    await runNow(one.app, 's');
    await one.after(2 * minute + 30 * second);
    assert.deepEqual(
      one.sent((run) => run.due % minute === 0 && run.starts > 0),
      [60, 180],
    );
    assert.deepEqual([one.schedule.counts.runs, one.schedule.counts.skipped], [3, 1]);
  });

  test('ends are counted as what they were', async () => {
    const one = await worldWith(
      lasting(0, { cron: '*/10 * * * * *', input: { ms: 0, fails: true } }),
    );
    await one.after(31 * second);
    const { succeeded, failed } = one.schedule.counts;
    assert.deepEqual([succeeded, failed], [0, 3]);
  });

  test('where the clock of who runs it is ahead', async () => {
    const one = await worldWith(lasting(400, { cron: '*/10 * * * * *' }));
    one.world.workerSkew = 2 * minute;
    await one.after(minute + second);
    assert.deepEqual(one.dues, upTo(60, 10));
  });

  test('a run whose end nobody told holds up none: its record is asked', async () => {
    const one = await worldWith(lasting(second, { cron: '* * * * *' }));
    one.world.toldAfter = () => undefined;
    await one.after(5 * minute + second);
    assert.deepEqual(one.dues, upTo(300, 60));
    assert.equal(one.schedule.counts.skipped, 0);
  });
});

describe('a run that is over holds up none', () => {
  test('asked for again by its Idempotency-Key it changes nothing', async () => {
    const one = await worldWith(lasting(second, { cron: '* * * * *' }));
    await one.after(10 * second);
    const { id } = await runNow(one.app, 's', 'key');
    await one.after(10 * second);
    const before = one.schedule;
    assert.equal((await runNow(one.app, 's', 'key')).id, id);
    assert.deepEqual(one.schedule, before);
    await one.after(2 * minute);
    assert.deepEqual([one.schedule.counts.runs, one.schedule.counts.skipped], [3, 0]);
  });

  test('nor does it once the history has made room for others', async () => {
    const one = await worldWith(lasting(1, { cron: '*/2 * * * * *', overlap: 'allow' }));
    await one.after(second);
    await runNow(one.app, 's', 'key');
    await one.after(minute);
    const before = one.schedule;
    await runNow(one.app, 's', 'key');
    assert.deepEqual(one.schedule, before);
  });

  test('whoever asked died before it was on record: the same key puts it there', async () => {
    const one = await worldWith(lasting(30 * second, { cron: '0 0 * * *' }));
    let calls = 0;
    // Dies at the write of the schedule, after the job was sent.
    one.world.trouble = () => (++calls === 6 ? 'dies before' : 'none');
    await one.world.do(0, (app) => runNow(app, 's', 'key'));
    one.world.trouble = () => 'none';
    assert.equal(one.world.runs.size, 1);
    assert.equal(one.schedule.counts.runs, 0);
    await runNow(one.app, 's', 'key');
    assert.equal(one.schedule.counts.runs, 1);
    await one.after(minute);
    assert.deepEqual([one.schedule.counts.succeeded, one.schedule.running], [1, undefined]);
  });

  test('an answer that was lost counts a run once', async () => {
    const one = await worldWith(lasting(second, { cron: '0 0 * * *' }));
    one.world.trouble = () => 'answer lost';
    await one.world.do(0, (app) => runNow(app, 's'));
    one.world.trouble = () => 'none';
    assert.equal(one.schedule.counts.runs, 1);
    assert.equal(one.schedule.history.length, 1);
  });

  test('an equal job of elsewhere that is over already', async () => {
    const type = defineJob({
      type: 'lasting',
      input: z.object({ ms: z.number() }),
      unique: { until: 'expiry' },
      run: async () => ({}),
    });
    const world = new Schedulers([type as never]);
    const app = world.app();
    const at = new Date(world.now).toISOString();
    world.keep({
      ...{
        id: 'standing',
        type: 'lasting',
        state: 'succeeded',
        lane: 'standard',
        queue: 'standard',
      },
      ...{ createdAt: at, finishedAt: at, keepUntil: at, attempt: 1, turn: 1 },
    });
    app.notes.claim = async () => 'standing';
    await putSchedule(app, 's', lasting(1, { every: '1m' }));
    world.now += minute;
    await tick(app);
    const [schedule] = world.schedules.all;
    assert.equal(schedule?.running, undefined);
    assert.equal(schedule?.nextAt, new Date(world.now + minute).toISOString());
    // Of one that still runs nobody tells the end: it is looked up sooner.
    const { finishedAt: _, ...open } = world.record('standing') ?? assert.fail();
    world.keep({ ...open, state: 'running' });
    world.now += minute;
    await tick(app);
    const { running } = world.schedules.all[0] ?? {};
    assert.deepEqual(
      [running?.job, running?.watchAt],
      ['standing', new Date(world.now + minute).toISOString()],
    );
  });
});

describe('a change of a schedule', () => {
  test('does not run again what was sent ahead, nor hold up what comes', async () => {
    const one = await worldWith(lasting(second, { at: '2026-11-21T12:00:10.000Z' }));
    await one.after(second);
    assert.equal(one.schedule.counts.runs, 1, 'sent ahead');
    await one.patch({ at: '2026-11-21T12:00:10.000Z', jitter: '1s' });
    await one.after(20 * second);
    await one.patch({ at: '2026-11-21T12:00:40.000Z' });
    await one.after(minute);
    assert.deepEqual(one.dues, [10, 40]);
    assert.deepEqual(one.schedule.counts.runs, 2);
  });

  for (const how of ['cron', 'jitter', 'enabled', 'input'] as const)
    test(`settles what was due before it (${how})`, async () => {
      const one = await worldWith(lasting(second, { cron: '* * * * *', misfire: 'all' }));
      await one.after(second);
      one.isOn = false;
      await one.after(2 * minute + 30 * second);
      const changes = {
        ...{ cron: { cron: '*/2 * * * *' }, jitter: { jitter: '1s' as const } },
        ...{ enabled: { enabled: false }, input: { input: { ms: 7 } } },
      };
      await one.patch(changes[how]);
      const { runs, skipped, missed } = one.schedule.counts;
      assert.equal(runs + skipped + missed, 2, 'at 12:01 and 12:02');
      one.isOn = true;
      await one.after(2 * minute);
      const due = how === 'enabled' ? 2 : how === 'cron' ? 3 : 4;
      const now = one.schedule.counts;
      assert.equal(now.runs + now.skipped + now.missed, due);
    });

  test('of another thing than its timing leaves its due time', async () => {
    const one = await worldWith(lasting(1, { every: '1m' }));
    await one.after(30 * second);
    await one.patch({ input: { ms: 2 } });
    await one.after(40 * second);
    assert.deepEqual(one.dues, [60]);
  });

  test('keeps the due time that waits, and starts it when a paused schedule goes on', async () => {
    const one = await worldWith(
      lasting(90 * second, {
        cron: '* * * * *',
        overlap: 'queue',
        endsAt: '2026-11-21T12:02:00.000Z',
      }),
    );
    await one.after(2 * minute + second);
    assert.equal(one.schedule.pending, '2026-11-21T12:02:00.000Z');
    await one.patch({ input: { ms: 5 * second } });
    assert.equal(one.schedule.pending, '2026-11-21T12:02:00.000Z');
    await one.patch({ enabled: false });
    await one.after(3 * minute);
    assert.deepEqual(one.dues, [60], 'it has ended, and nothing starts');
    await one.patch({ enabled: true });
    await one.after(minute);
    assert.deepEqual(one.dues, [60, 120]);
    assert.equal(one.schedule.pending, undefined);
  });

  test('from `allow` to `skip` heeds the run that is under way', async () => {
    const one = await worldWith(lasting(100 * second, { cron: '* * * * *', overlap: 'allow' }));
    await one.after(65 * second);
    assert.equal(one.schedule.running, undefined, 'none holds up another');
    await one.patch({ overlap: 'skip' });
    await one.after(2 * minute);
    assert.deepEqual(one.dues, [60, 180]);
    assert.equal(one.schedule.counts.skipped, 1);
  });

  test('by two at once loses neither', async () => {
    const one = await worldWith(lasting(1, { cron: '0 0 * * *' }));
    const acts = [() => one.patch({ enabled: false })];
    let calls = 0;
    one.world.acts.push(async () => void (await acts.shift()?.()));
    one.world.trouble = () => (++calls === 2 ? 'somebody acts' : 'none');
    await one.world.do(0, (app) =>
      patchSchedule(app, 's', (known) => ({ ...known, jitter: '1m' })),
    );
    assert.deepEqual([one.schedule.enabled, one.schedule.jitter], [false, '1m']);
  });
});

describe('a due time that is refused', () => {
  test('lets the one go that waited for it', async () => {
    const one = await worldWith(
      lasting(second, { cron: '* * * * *', overlap: 'queue', misfire: 'all' }),
    );
    one.isOn = false;
    await one.after(2 * minute + second);
    const app = one.world.app();
    const { send } = app.queue;
    let sent = 0;
    app.queue.send = async (message) => {
      if (++sent === 1) throw new BadRequestError('not this one');
      return send(message);
    };
    await tick(app);
    assert.deepEqual(one.sent(), [120]);
    assert.deepEqual(
      one.schedule.history.map(({ state }) => state),
      ['refused', 'running'],
    );
  });
});

test('a scheduler that died after it sent has run that due time, and not missed it', async () => {
  const one = await worldWith(lasting(5 * minute, { cron: '* * * * *' }));
  one.isOn = false;
  await one.after(50 * second);
  const dead: Trouble[] = ['none', 'none', 'none', 'dies after'];
  one.world.trouble = () => dead.shift() ?? 'dies before';
  await one.world.do(0, (app) => tick(app));
  one.world.trouble = () => 'none';
  assert.deepEqual(one.sent(), [60]);
  await one.after(3 * minute);
  one.isOn = true;
  await one.after(minute);
  // The run of 12:01 is under way: another would be two at once.
  assert.deepEqual(one.dues, [60]);
  const { runs, missed, skipped } = one.schedule.counts;
  assert.deepEqual([runs, missed + skipped], [1, 3]);
});

describe("an 'every' goes on", () => {
  test('when its only due time was missed', async () => {
    const one = await worldWith(lasting(second, { every: '1m', misfire: 'skip' }));
    one.isOn = false;
    await one.after(5 * minute);
    one.isOn = true;
    await one.after(2 * minute);
    assert.equal(one.schedule.counts.missed, 1);
    assert.ok(one.dues.length > 0, 'it is due again');
  });

  test('when it was sent by one that died, by a clock that is ahead, and its end was told', async () => {
    const one = await worldWith(lasting(0, { every: '1m' }));
    one.isOn = false;
    const dead: Trouble[] = ['none', 'none', 'none', 'dies after'];
    one.world.trouble = () => dead.shift() ?? 'none';
    const look = () => one.world.do(150 * second, (app) => tick(app));
    await look();
    await one.after(10 * second);
    assert.deepEqual([one.dues, one.schedule.early?.length], [[60], 1]);
    await look();
    assert.ok(one.schedule.running ?? one.schedule.nextAt, 'it is never due again');
    assert.equal(one.schedule.counts.runs, one.sent().length);
  });

  test('where the clock of who runs it is behind', async () => {
    const one = await worldWith(lasting(0, { every: '10s' }));
    one.world.workerSkew = -2 * minute;
    await one.after(minute + 5 * second);
    // Each counts from the due time before, since by the worker's clock it ended before that.
    assert.deepEqual(one.dues, [10, 20, 30, 40, 50, 60]);
  });
});

test('an end that is told before its run is on record counts', async () => {
  const one = await worldWith(
    lasting(second, { at: '2026-11-21T12:00:02.000Z', overlap: 'allow' }),
  );
  one.isOn = false;
  // The job is sent, and its schedule written nine seconds later.
  const calls: Trouble[] = ['none', 'none', 'none', 'none', 'slow'];
  one.world.trouble = () => calls.shift() ?? 'none';
  await one.world.do(0, (app) => tick(app));
  const { counts, history, early } = one.schedule;
  assert.deepEqual([counts.runs, counts.succeeded, early], [1, 1, undefined]);
  assert.deepEqual(
    history.map(({ state }) => state),
    ['succeeded'],
  );
});

test('what a clock that is ahead has sent is not sent again by another timing', async () => {
  const world = new Schedulers();
  const put = (more: Partial<ScheduleDefinition>) =>
    world.do(0, (app) => putSchedule(app, 's', lasting(0, { overlap: 'allow', ...more })));
  const look = () => world.do(150 * second, (app) => tick(app));
  await put({ cron: '* * * * *', misfire: 'all' });
  await look();
  await put({ at: '2026-11-21T12:01:30.000Z' });
  await look();
  await put({ cron: '* * * * *', misfire: 'all' });
  await look();
  await put({ at: '2026-11-21T12:02:00.000Z' });
  await look();
  const [schedule] = world.schedules.all;
  assert.equal(world.runs.size, 3);
  assert.equal(schedule?.counts.runs, 3);
  assert.equal(schedule?.lastAt, '2026-11-21T12:02:00.000Z');
});

describe('a run that no due time meets is looked up after ten minutes', () => {
  const ended = async () => {
    const one = await worldWith(lasting(second, { every: '1m' }));
    one.world.toldAfter = () => undefined;
    await one.after(5 * minute);
    return one;
  };

  test('it has ended, and nobody told', async () => {
    const one = await ended();
    assert.deepEqual(one.dues, [60]);
    await one.after(8 * minute);
    assert.ok(one.dues.length >= 2, `${one.dues}`);
    assert.equal(one.schedule.history[0]?.state, 'succeeded');
  });

  test('it waits for something, however long', async () => {
    const one = await ended();
    const record = one.world.record(one.schedule.running?.job ?? '') ?? assert.fail();
    one.world.keep({ ...record, state: 'waiting', waits: {} });
    await one.after(24 * 60 * minute);
    assert.equal(one.schedule.history[0]?.state, 'running');
  });

  test('its job is gone', async () => {
    const one = await ended();
    const app = one.world.app();
    app.records.read = async () => undefined;
    app.removal.removed = async () => ({ at: '2026-11-21T12:03:00.000Z' }) as never;
    one.world.now += 7 * minute;
    await tick(app);
    assert.equal(one.schedule.history[0]?.state, 'lost');
  });
});

test('a schedule that is no longer in the code goes at its next due time', async () => {
  const world = new Schedulers();
  await putSchedule(world.app(), 's', lasting(1, { cron: '* * * * *' }), true);
  world.lookFrom(
    world.now,
    () => 0,
    () => true,
  );
  await world.until(world.now + minute);
  assert.deepEqual([world.schedules.all, world.runs.size], [[], 0]);
});

test('a schedule that cannot be looked at holds up no other', async () => {
  const world = new Schedulers();
  const app = world.app();
  for (const id of ['a', 'b', 'c'])
    await putSchedule(app, id, lasting(1, { at: '2026-11-21T12:00:10.000Z' }));
  const { send } = app.queue;
  app.queue.send = async (message) => {
    if (message.properties['schedule'] === 'b') throw new Error('out of reach');
    return send(message);
  };
  assert.equal(await tick(app), 2);
  assert.deepEqual([...world.runs.values()].map(({ schedule }) => schedule).sort(), ['a', 'c']);
});

test('a removal whose answer was lost is one', async () => {
  const one = await worldWith(lasting(1, { every: '1h' }));
  one.world.trouble = () => 'answer lost';
  assert.deepEqual(await one.world.do(0, (app) => removeSchedule(app, 's')), { ok: undefined });
  assert.deepEqual(one.world.schedules.all, []);
});

test('an id that cannot be is that of no schedule', async () => {
  const app = new Schedulers().app();
  for (const id of ['a/b', 'a\\b', 'a#b', '', 'x'.repeat(101)])
    await assert.rejects(findSchedule(app, id), ScheduleNotFoundError);
});

test('a duration of ages is refused by name', () => {
  for (const field of ['every', 'jitter'])
    assert.throws(
      () => toDefinition({ type: 't', cron: '* * * * *', [field]: '99999999999999d' }),
      (error: unknown) =>
        error instanceof BadRequestError &&
        (error.details['errors'] as { pointer: string; message: string }[])[0]?.pointer ===
          `/${field}` &&
        /is longer than 3650d/.test(error.message),
    );
});

describe('the clock on the wall', () => {
  const timesOf = (cron: string, timeZone: string, from: string, count: number) => {
    const times: string[] = [];
    for (let at = new Date(from); times.length < count; ) {
      at = nextTime({ cron, timeZone }, at) ?? assert.fail();
      times.push(at.toISOString().slice(0, 16));
    }
    return times;
  };

  test('each time that is left out in spring runs, as much later', () => {
    const from = '2026-03-28T12:00:00Z';
    assert.deepEqual(timesOf('15,45 2 * * *', 'Europe/Amsterdam', from, 3), [
      ...['2026-03-29T01:15', '2026-03-29T01:45', '2026-03-30T00:15'],
    ]);
    // And counts once where another time of the clock is at the same moment.
    assert.deepEqual(timesOf('0,30 2,3 * * *', 'Europe/Amsterdam', from, 3), [
      ...['2026-03-29T01:00', '2026-03-29T01:30', '2026-03-30T00:00'],
    ]);
  });

  test('each time that comes twice in autumn runs the first time', () => {
    assert.deepEqual(timesOf('*/30 2,3 * * *', 'Europe/Amsterdam', '2026-10-24T12:00:00Z', 5), [
      ...['2026-10-25T00:00', '2026-10-25T00:30', '2026-10-25T02:00', '2026-10-25T02:30'],
      '2026-10-26T01:00',
    ]);
  });

  test('where the clock moves by half an hour too', () => {
    assert.deepEqual(timesOf('15,45 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00:00Z', 2), [
      // 02:15 is left out and runs at 02:45, which is due itself.
      ...['2026-10-03T15:45', '2026-10-04T15:15'],
    ]);
    assert.deepEqual(timesOf('45 1 * * *', 'Australia/Lord_Howe', '2026-04-04T00:00:00Z', 2), [
      ...['2026-04-04T14:45', '2026-04-05T15:15'],
    ]);
  });

  test('a due time that is years away is found beyond the changes between', () => {
    assert.deepEqual(timesOf('30 2 29 3 *', 'Europe/Amsterdam', '2024-01-01T00:00:00Z', 3), [
      ...['2024-03-29T01:30', '2025-03-29T01:30', '2026-03-29T01:30'],
    ]);
  });
});

test('a weekend of a cron by the second is over at once', async () => {
  const one = await worldWith(
    lasting(1, { cron: '* * * * * *', misfire: 'all', overlap: 'allow' }),
  );
  one.isOn = false;
  one.world.now += 2 * 24 * 60 * minute;
  const from = performance.now();
  await tick(one.app);
  const took = performance.now() - from;
  assert.ok(took < 5_000, `${took} ms`);
  const { runs, missed } = one.schedule.counts;
  assert.ok(runs >= 100 && runs <= 200, `${runs} run`);
  assert.ok(missed >= 4_900, `${missed} missed`);
  assert.ok(new Date(one.schedule.nextAt ?? '') > new Date(one.world.now));
  const last = idOfOccurrence('s', new Date(one.world.now));
  assert.ok(one.world.runs.has(last));
});
