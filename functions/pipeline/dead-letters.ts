/** Messages that the broker gave up on: their jobs are told as failed. The messages stay where they are. */

import { hasEnded } from '../model/job-record.ts';
import { fromMessage } from '../model/message.ts';
import type { Working } from './attempt.ts';
import { Lease } from './lease.ts';
import { takeCompletions } from './news.ts';
import { decide, noRetries } from './outcome.ts';
import type { DeadLetter, Delivery } from './ports.ts';
import { record, settle } from './settle.ts';
import { readOrMake } from './submit.ts';

const atOnce = 100;

/** Looks at what is new in a queue's dead letters; a note keeps how far it came. */
export async function watchDeadLetters(
  app: Working,
  queue: string,
  take: (app: Working, letter: DeadLetter) => Promise<boolean> = bury,
): Promise<number> {
  let after = Number((await app.notes.read('dead-letters', queue)) ?? 0);
  let taken = 0;
  for (;;) {
    const found = await app.queue.peekDeadLetters(queue, after, atOnce);
    for (const letter of found) {
      if (await take(app, letter)) taken++;
      after = letter.sequence;
    }
    if (found.length > 0) await app.notes.write('dead-letters', queue, String(after));
    if (found.length < atOnce) return taken;
  }
}

/** News that were handed back too often, in an outage: a job may wait for them. */
export async function watchDeadNews(app: Working): Promise<number> {
  return watchDeadLetters(app, app.topology.completions, async (_, { message }) => {
    await takeCompletions(app, [message]);
    return true;
  });
}

/** True if the job had not ended: its worker died each time, or nobody took it before it expired. */
async function bury(app: Working, { message, reason, description }: DeadLetter): Promise<boolean> {
  const job = fromMessage(message);
  const stored = await readOrMake(app, job);
  const { state, turn } = stored.record;
  // Handed on since: the letter is of a turn before that.
  if (hasEnded(state) || state === 'waiting' || turn > job.turn) return false;
  const happened = {
    kind: 'buried',
    reason: reason ?? 'DeadLettered',
    description: description ?? 'The message was dead-lettered without a reason.',
  } as const;
  const lease = new Lease(app.records, stored, app.newOwner());
  const delivery = alreadySettled(message);
  const now = app.clock.now();
  const decided = await record(app, lease, delivery, (newest) =>
    decide(happened, newest, noRetries, now, 0),
  );
  await settle(app, decided, job, delivery);
  app.log('warn', `job ${job.id} (${job.type}) failed: ${reason}: ${description}`);
  return true;
}

const alreadySettled = (message: Delivery['message']): Delivery => ({
  message,
  complete: async () => undefined,
  abandon: async () => undefined,
  deadLetter: async () => undefined,
});
