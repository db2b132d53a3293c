/** When a job did what: attempts with their instance, and all that was kept, with begin and end. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Entry } from '#longhaul/handler/checkpoint.js';
import { entriesOf } from '#longhaul/handler/checkpoint.js';
import { type Span, toTimeline } from '#longhaul/http/timeline.js';
import { type Handler, type Ran, run, start, typeOf } from './world/one-job.ts';

async function timelineOf({ world, record }: Ran): Promise<Span> {
  return toTimeline(record(), await entriesOf(world.app().blobs, record()));
}

/** `kind name` with its attempt, the minutes from the job's creation to its begin, and those it took. */
function drawn({ begin: from, spans = [] }: Span): string[] {
  const minutes = (iso: string) => Math.round((Date.parse(iso) - Date.parse(from)) / 60_000);
  const draw = (span: Span, depth: string): string[] => {
    const { kind, name, attempt, begin, end, error } = span;
    const what = [kind, name ?? attempt].filter((part) => part !== undefined).join(' ');
    const time = `${minutes(begin)}-${end === undefined ? '' : minutes(end)}`;
    const text = `${depth}${what} ${time}${error ? ` ${error.message}` : ''}`;
    return [text, ...(span.spans ?? []).flatMap((one) => draw(one, `${depth}  `))];
  };
  return spans.flatMap((one) => draw(one, ''));
}

/** A handler whose steps take minutes. */
const during = (ran: () => Ran, minutes: number) => async () => {
  ran().world.now += minutes * 60_000;
  return minutes;
};

async function lived(handler: (ran: () => Ran) => Handler, policy = {}): Promise<Ran> {
  let ran: Ran | undefined;
  ran = await start(
    handler(() => ran as Ran),
    { timeout: '10m', backoff: { initial: '5m', jitter: false }, ...policy },
  );
  return ran;
}

test('steps, waits and what came in them stand in their attempt', async () => {
  const ran = await lived((now) => async (job) => {
    await job.step('read', during(now, 2));
    await job.sleep('nap', '10m');
    await job.event('a', { timeout: '5m' }).catch(() => undefined);
    await job.checkpoint('sum', 0, async (from, save) => {
      await save(from + 1);
      return during(now, 1)();
    });
  });
  await ran.rest();
  const timeline = await timelineOf(ran);
  assert.deepEqual(drawn(timeline), [
    'queue 0-0',
    'attempt 1 0-18',
    '  step read 0-2',
    '  sleep nap 2-12',
    '  event a 12-17',
    '  checkpoint sum 17-18',
  ]);
  const [, attempt] = timeline.spans ?? [];
  const { app, version, instance } = attempt ?? {};
  assert.deepEqual({ app, version, instance }, ran.world.app().here);
  assert.equal(ran.record().version, '1', 'by which it began');
});

test('each attempt has its error, and the steps that failed in it stay', async () => {
  const ran = await lived((now) => async (job) => {
    await job.step('a', during(now, 1));
    await job.step('b', async () => {
      await during(now, 2)();
      if (job.attempt < 3) throw new Error(`No ${job.attempt}`);
    });
  });
  await ran.rest();
  assert.deepEqual(drawn(await timelineOf(ran)), [
    'queue 0-0',
    'attempt 1 0-3 No 1',
    '  step a 0-1',
    '  step b 1-3 Error: No 1',
    'queue 3-8',
    'attempt 2 8-10 No 2',
    '  step b 8-10 Error: No 2',
    'queue 10-20',
    'attempt 3 20-22',
    '  step b 20-22',
  ]);
});

test('the undo stands beside the attempts, and the steps that it took back stay', async () => {
  const policy = { attempts: 1 };
  const ran = await lived(
    (now) => async (job) => {
      await job.step('book', during(now, 1), {
        undo: async () => {
          await during(now, 3)();
        },
      });
      throw new Error('Full');
    },
    policy,
  );
  await ran.rest();
  assert.deepEqual(drawn(await timelineOf(ran)), [
    'queue 0-0',
    'attempt 1 0-1 Full',
    '  step book 0-1',
    'undo book 1-4',
  ]);
});

test('a group of children lasts until the last of them has ended', async () => {
  const child = typeOf((job) => job.sleep('30m'), {}, 'child');
  const parent: Handler = async (job) => {
    await job.children('parts', [child.with({ n: 1 }), child.with({ n: 2 })]);
  };
  const ran = await start(parent, {}, {}, [child]);
  await ran.rest();
  const timeline = await timelineOf(ran);
  assert.deepEqual(drawn(timeline), ['queue 0-0', 'attempt 1 0-30', '  children parts 0-30']);
  assert.equal(timeline.spans?.[1]?.spans?.[0]?.['children'], 2);
});

describe('while it lasts', () => {
  const look = async (handler: Handler): Promise<string[]> => {
    const ran = await start(handler);
    const seen: string[][] = [];
    const { send } = ran.world.bus;
    ran.world.bus.send = function (this: typeof ran.world.bus, message) {
      const { checkpoint } = ran.record();
      const json = checkpoint && 'json' in checkpoint ? checkpoint.json : '{}';
      const entries = JSON.parse(json) as Record<string, Entry>;
      seen.push(drawn(toTimeline(ran.record(), entries)));
      send.call(this, message);
    };
    await ran.rest();
    return seen[0] ?? [];
  };

  test('a wait has no end', async () =>
    assert.deepEqual(await look((job) => job.event('a', { timeout: '1h' })), [
      ...['queue 0-0', 'attempt 1 0-', '  event a 0-'],
    ]));

  test('a job that failed is in its queue again', async () =>
    assert.deepEqual(
      await look(async (job) => {
        if (job.attempt === 1) throw new Error('No');
      }),
      ['queue 0-0', 'attempt 1 0-0 No', 'queue 0-'],
    ));
});

test('the last twenty attempts are kept', async () => {
  const ran = await run(
    async (job) => {
      if (job.attempt < 25) throw new Error('Again');
    },
    { attempts: 30 },
  );
  const attempts = ran.record().attempts?.map(({ attempt }) => attempt) ?? [];
  assert.deepEqual([attempts.length, attempts[0], attempts.at(-1)], [20, 6, 25]);
});

test('a record of a version before is drawn as far as it tells', async () => {
  const ran = await run(async (job) => {
    await job.step('a', async () => 1);
    if (job.attempt === 1) throw new Error('No');
  });
  const { attempts: _a, ranBy: _r, version: _v, checkpoint: _c, ...before } = ran.record();
  const entries = { a: { kind: 'step', order: 1, value: { json: '1' } } } as const;
  assert.deepEqual(drawn(toTimeline(before as never, entries)), [
    ...['queue 0-0', 'attempt 1 0-0 No', 'queue 0-0', 'attempt 2 0-0'],
  ]);
});
