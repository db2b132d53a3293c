/** Handlers that forget to wait, leave promises behind, or block the process. */
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineJob } from '#longhaul/define/define-job.js';

/** A promise that is rejected later, when nobody looks. */
const stray = defineJob({
  type: 'test.stray',
  input: z.object({ afterMs: z.number(), lastsMs: z.number() }),
  attempts: 1,
  async run({ afterMs, lastsMs }, job) {
    void (async () => {
      await pause(afterMs);
      throw new RangeError('left behind');
    })();
    await pause(lastsMs, undefined, { signal: job.signal });
    return { pid: process.pid };
  },
});

/** Reports progress without waiting, until it is told to stop, and once more. */
const chatty = defineJob({
  type: 'test.chatty',
  input: z.object({}),
  timeout: '5s',
  async run(_, job) {
    for (let n = 0; !job.signal.aborted; n++) {
      void job.progress({ done: n });
      await pause(20);
    }
    void job.progress({ done: -1 });
    await pause(50);
    return null;
  },
});

const forgetful = defineJob({
  type: 'test.forgetful',
  input: z.object({}),
  async run(_, job) {
    void job.step('forgotten', async () => 1);
    return { pid: process.pid };
  },
});

const blocking = defineJob({
  type: 'test.blocking',
  input: z.object({ ms: z.number() }),
  async run({ ms }) {
    await pause(1_900);
    for (const until = Date.now() + ms; Date.now() < until; );
    return { pid: process.pid };
  },
});

const pid = defineJob({
  type: 'test.pid',
  input: z.object({ ms: z.number().default(0) }),
  async run({ ms }) {
    await pause(ms);
    return { pid: process.pid };
  },
});

export const carelessJobs = [stray, chatty, forgetful, blocking, pid];
