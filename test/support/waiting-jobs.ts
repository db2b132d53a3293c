/** Job types that wait, fan out, undo and keep the state of their key. */
import { access, appendFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';
import { readLines } from './lines.ts';

const quick = { initial: '200ms', factor: 2, jitter: false } as const;

const note = (log: string, what: object) =>
  appendFile(log, `${JSON.stringify({ ...what, at: Date.now() })}\n`);

const logged = z.object({ log: z.string() });

const sleeper = defineJob({
  type: 'test.sleeper',
  input: logged.extend({ ms: z.number() }),
  async run({ log, ms }, job) {
    await job.step('before', () => note(log, { what: 'before' }));
    await job.sleep(`${ms}ms`);
    await job.step('after', () => note(log, { what: 'after' }));
    return { slept: ms };
  },
});

const approval = defineJob({
  type: 'test.approval',
  input: z.object({ timeout: z.string().default('1h'), key: z.string().optional() }),
  key: ({ key }) => key ?? 'none',
  events: { approved: z.object({ by: z.string() }), paid: z.object({ euros: z.number() }) },
  async run({ timeout }, job) {
    const { by } = await job.event('approved', { timeout: timeout as '1h' });
    const { euros } = await job.event('paid');
    return { by, euros };
  },
});

const square = defineJob({
  type: 'test.square',
  input: z.object({ n: z.number(), log: z.string().optional(), ms: z.number().default(0) }),
  attempts: 1,
  async run({ n, log, ms }, job) {
    if (log) await note(log, { what: 'begin', n });
    await pause(ms, undefined, { signal: job.signal });
    if (log) await note(log, { what: 'end', n });
    if (n < 0) throw new Error(`${n} has no root`);
    return { square: n * n };
  },
});

const squares = defineJob({
  type: 'test.squares',
  input: z.object({
    from: z.number().default(0),
    to: z.number(),
    limit: z.number().optional(),
    log: z.string().optional(),
    ms: z.number().default(0),
  }),
  async run({ from, to, limit, log, ms }, job) {
    const all = Array.from({ length: to - from }, (_, i) =>
      square.with({ n: from + i, ms, ...(log ? { log } : {}) }),
    );
    const results = await job.children('squares', all, limit ? { limit } : {});
    return { sum: results.reduce((sum, one) => sum + one.square, 0), count: results.length };
  },
});

const squaresSettled = defineJob({
  type: 'test.squares-settled',
  input: z.object({ ns: z.array(z.number()) }),
  async run({ ns }, job) {
    const all = ns.map((n) => square.with({ n }));
    const results = await job.childrenSettled('squares', all);
    return results.map((one) => (one.ok ? String(one.result.square) : one.error.message));
  },
});

/** A type that calls itself names its result. */
const tree = defineJob({
  type: 'test.tree',
  input: z.object({ depth: z.number(), width: z.number(), ms: z.number().default(0) }),
  output: z.object({ size: z.number() }),
  async run({ depth, width, ms }, job): Promise<{ size: number }> {
    if (depth === 0) {
      await pause(ms, undefined, { signal: job.signal });
      return { size: 1 };
    }
    const below = Array.from({ length: width }, () => tree.with({ depth: depth - 1, width, ms }));
    const subtrees = await job.children('subtrees', below);
    return { size: 1 + subtrees.reduce((sum, { size }) => sum + size, 0) };
  },
});

/** Books what it says and takes it back when it fails or is cancelled; `fails` says where. */
const order = defineJob({
  type: 'test.order',
  input: logged.extend({
    fails: z.enum(['never', 'error', 'wait']).default('never'),
    undoFails: z.number().default(-1),
    mended: z.string().optional(),
  }),
  events: { shipped: z.object({}) },
  attempts: 2,
  backoff: quick,
  async run({ log, fails, undoFails, mended }, job) {
    for (const what of ['stock', 'payment', 'parcel'])
      await job.step(
        what,
        async () => {
          await note(log, { what: `book ${what}` });
          return { booked: what };
        },
        {
          async undo({ booked }) {
            await note(log, { what: `undo ${booked}` });
            const tried = (await readLines(log)).filter((line) => line['what'] === 'undo payment');
            if (booked === 'payment' && tried.length <= undoFails)
              throw new Error('The bank is closed');
          },
        },
      );
    if (fails === 'wait') await job.event('shipped');
    if (mended) await access(mended);
    if (fails === 'error') throw new Error('No courier');
    return { done: true };
  },
});

/** Adds to the total of its key, and fails once after it did. */
const total = defineJob({
  type: 'test.total',
  input: z.object({ key: z.string(), n: z.number(), fails: z.boolean().default(false) }),
  key: ({ key }) => key,
  backoff: quick,
  async run({ n, fails }, job) {
    const sum = ((await job.session.get<number>()) ?? 0) + n;
    await job.session.set(sum);
    if (fails && job.attempt === 1) throw new Error('after it was set');
    return { sum };
  },
});

/** The same by two lanes: each counts what it ran for a key, slowly. */
const counts = (lane: 'standard' | 'bulk') =>
  defineJob({
    type: `test.counts-${lane}`,
    lane,
    input: z.object({ key: z.string(), ms: z.number() }),
    key: ({ key }) => key,
    async run({ ms }, job) {
      const ran = (await job.session.get<string[]>()) ?? [];
      await pause(ms);
      await job.session.set([...ran, lane]);
      return { ran };
    },
  });

const ordered = defineJob({
  type: 'test.ordered',
  input: logged.extend({ key: z.string(), n: z.number(), failures: z.number().default(0) }),
  key: ({ key }) => key,
  ordered: true,
  attempts: 4,
  backoff: quick,
  async run({ log, key, n, failures }, job) {
    await note(log, { key, n, attempt: job.attempt });
    if (job.attempt <= failures) throw new Error(`as asked`);
    return { n };
  },
});

const wrongly = defineJob({
  type: 'test.wrongly',
  input: z.object({ how: z.enum(['twice', 'nested', 'no session', 'huge']) }),
  attempts: 3,
  async run({ how }, job) {
    if (how === 'twice') {
      await job.step('a', async () => 1);
      await job.step('a', async () => 2);
    }
    if (how === 'nested') await job.step('outer', () => job.sleep('1h').then(() => 1));
    if (how === 'no session') await job.session.get();
    if (how === 'huge') {
      const big = await job.step('big', async () => 'x'.repeat(2_000_000));
      const next = await job.step('next', async () => big.length);
      return { length: next };
    }
    return { length: 0 };
  },
});

export const waitingJobs = [
  ...[sleeper, approval, square, squares, squaresSettled, tree, order, total, ordered, wrongly],
  ...[counts('standard'), counts('bulk')],
] as const;
