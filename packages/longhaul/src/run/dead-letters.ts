/**
 * Messages that the broker gave up on. What only was handed over too often is put back; the job of any
 * other is told as failed. The messages stay where they are.
 */

import { readMessage } from '../admit/sender.ts';
import { readOrMake } from '../admit/submit.ts';
import { BadMessageError, isRefusal } from '../errors.ts';
import { isAlreadyDecided, isCopy, settlementOf } from '../fate/consequences.ts';
import { type Decisive, decide, noRetries } from '../fate/outcome.ts';
import { settle, writeOutcome } from '../fate/settle.ts';
import { type EndedRecord, isEnded } from '../model/job-record.ts';
import type { DeadLetter, Delivery, Stored } from '../ports.ts';
import { Lease } from '../record/lease.ts';
import type { Working } from './attempt.ts';
import { handleCompletions } from './signals.ts';

const atOnce = 100;
// Letters keep numbers of a time before, when their queue is made anew or their number is that of the
// message: now and then all are looked at.
const sweepEveryMs = 3_600_000;
// A letter that fails as often is passed by: what is wrong with it is not storage.
const triesOfALetter = 20;

type Take = (app: Working, letter: DeadLetter) => Promise<boolean>;

/** What one process remembers between two looks. */
const failures = new Map<string, number>();

/** Looks at what is new in a queue's dead letters; a note keeps how far it came. */
export async function watchDeadLetters(
  app: Working,
  queue: string,
  take: Take = bury,
): Promise<number> {
  const known = Number((await app.notes.read('dead-letters', queue)) ?? 0);
  let taken = 0;
  for (let after = await startOf(app, queue, known); ; ) {
    const found = await app.queue.peekDeadLetters(queue, after, atOnce);
    for (const letter of found) {
      if (letter.sequence > known || isBrokers(letter))
        if (await takeOne(app, queue, letter, take)) taken++;
      after = letter.sequence;
    }
    if (after > known) await app.notes.write('dead-letters', queue, String(after));
    if (found.length < atOnce) return taken;
  }
}

/** After the last one seen; from the beginning once in an hour. */
async function startOf({ notes, clock }: Working, queue: string, known: number): Promise<number> {
  const now = clock.now().getTime();
  const swept = Number((await notes.read('dead-letters-swept', queue)) ?? 0);
  if (now - swept < sweepEveryMs) return known;
  await notes.write('dead-letters-swept', queue, String(now));
  return 0;
}

// Learn, "Overview of Service Bus dead-letter queues".
const brokersReasons = [
  'MaxDeliveryCountExceeded',
  'TTLExpiredException',
  'HeaderSizeExceeded',
  'Session ID is null.',
];
const isBrokers = ({ reason }: DeadLetter) => brokersReasons.includes(reason ?? '');

/** One that nothing can be made of is told and passed by. @throws when storage is out of reach */
async function takeOne(
  app: Working,
  queue: string,
  letter: DeadLetter,
  take: Take,
): Promise<boolean> {
  const name = `${queue} ${letter.sequence}`;
  try {
    const taken = await take(app, letter);
    failures.delete(name);
    return taken;
  } catch (error) {
    const times = (failures.get(name) ?? 0) + 1;
    failures.set(name, times);
    const isHopeless =
      isRefusal(error) || error instanceof TypeError || error instanceof SyntaxError;
    if (!isHopeless && times < triesOfALetter) throw error;
    failures.delete(name);
    app.log('error', `dead letter ${name}: passed by: ${(error as Error).message}`, { error });
    return false;
  }
}

/** News that were handed back too often, in an outage: a job may wait for them. */
export async function watchDeadSignals(app: Working): Promise<number> {
  return watchDeadLetters(app, app.topology.completions, async (_, { message }) => {
    await handleCompletions(app, [message]);
    return true;
  });
}

// In about three hours. After that somebody should look at it.
const mostPutBack = 10;

/** What a stranger sent and nobody took in is nothing to put back. */
const mayGoOn = (reason: string | undefined, { record }: Stored) =>
  reason === 'MaxDeliveryCountExceeded' && !record.untaken;

/** True if the job had not ended: nobody got to its end, or nobody took it before it expired. */
async function bury(app: Working, { message, reason, description }: DeadLetter): Promise<boolean> {
  const job = readMessage(message, app.topology);
  const stored = await readOrMake(app, job).catch((error: unknown) => {
    // Put aside when it came, and of no job.
    if (error instanceof BadMessageError) return undefined;
    throw error;
  });
  if (!stored) return false;
  const delivery = alreadySettled(message);
  if (isAlreadyDecided(stored.record, job)) {
    // Ours, and settled after its sends.
    if (isEnded(stored.record) && reasonOf(stored.record) === reason) return false;
    // Decided since, by one that may have died before it told so.
    await settle(app, stored.record, job, delivery);
    return false;
  }
  if (isCopy(stored.record, job, message)) return false;
  const times = (stored.record.putBack ?? 0) + 1;
  const outcome: Decisive =
    mayGoOn(reason, stored) && times <= mostPutBack
      ? { kind: 'put-back' }
      : {
          kind: 'given-up',
          reason: reason ?? 'DeadLettered',
          description: description ?? 'The message was dead-lettered without a reason.',
        };
  const lease = new Lease(app, stored, app.newOwner());
  const now = app.clock.now();
  const decided = await writeOutcome(app, lease, delivery, (newest) =>
    decide(outcome, newest, { policy: noRetries, now, random: 0 }),
  );
  await settle(app, decided, job, delivery);
  const what =
    outcome.kind === 'put-back' ? `is put back, time ${times}, for ${decided.runAt}` : 'failed';
  app.log('warn', `job ${job.id} (${job.type}) ${what}: ${reason}: ${description}`, {
    job: job.id,
    type: job.type,
  });
  return true;
}

function reasonOf(record: EndedRecord): string | undefined {
  const settled = settlementOf(record);
  return settled.kind === 'dead-letter' ? settled.reason : undefined;
}

const alreadySettled = (message: Delivery['message']): Delivery => ({
  message,
  complete: async () => undefined,
  abandon: async () => undefined,
  deadLetter: async () => undefined,
});
