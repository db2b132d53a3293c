/** Dead letters as an operator sees them: what was given up on, why, and what became of its job. */
import { readMessage } from '../admit/sender.ts';
import { BadRequestError } from '../errors.ts';
import type { JobRecord } from '../model/job-record.ts';
import type { JobMessage } from '../model/message.ts';
import { type Lane, laneOf } from '../model/topology.ts';
import type { DeadLetter } from '../ports.ts';
import type { Working } from '../run/attempt.ts';
import { UnknownLaneError } from './errors.ts';

/** Which letters are meant; all that it says holds. */
export interface LetterFilter {
  lane?: string | undefined;
  queue?: string | undefined;
  /** The broker's numbers, in the one queue that is named. */
  sequences?: readonly number[] | undefined;
  reason?: string | undefined;
  type?: string | undefined;
  /** In the description. */
  error?: string | undefined;
}

/** The queues that a filter reaches. @throws UnknownLaneError, BadRequestError */
export function queuesOf({ topology }: Pick<Working, 'topology'>, filter: LetterFilter): string[] {
  const { lane, queue, sequences } = filter;
  if (sequences && queue === undefined)
    throw new BadRequestError('sequences are numbers of one queue: name it by queue.');
  const known = topology.lanes.map(({ name }) => name);
  if (lane !== undefined && !known.includes(lane)) throw new UnknownLaneError(lane, known);
  if (queue !== undefined && !laneOf(topology, queue)) throw new UnknownLaneError(queue, known);
  const both = ({ plain, keyed }: Lane) => [plain, keyed];
  return topology.lanes
    .filter(({ name }) => lane === undefined || name === lane)
    .flatMap(both)
    .filter((name) => queue === undefined || name === queue);
}

export const isMeant = (filter: LetterFilter, letter: DeadLetter): boolean =>
  (filter.sequences?.includes(letter.sequence) ?? true) &&
  (filter.reason === undefined || filter.reason === letter.reason) &&
  (filter.type === undefined || filter.type === typeOf(letter)) &&
  (filter.error === undefined || (letter.description ?? '').includes(filter.error));

export const typeOf = ({ message }: DeadLetter): string => String(message.properties['type'] ?? '');

/** The job that a letter is of; undefined when nothing can be made of it. */
export function jobOf(app: Pick<Working, 'topology'>, letter: DeadLetter): JobMessage | undefined {
  try {
    return readMessage(letter.message, app.topology);
  } catch {
    return undefined;
  }
}

/** A letter with its job, as far as there is one. */
export interface SeenLetter {
  queue: string;
  letter: DeadLetter;
  job: string | undefined;
  record: JobRecord | undefined;
}

const looked = 100;

/** From there on, queue by queue; `next` says where to go on. */
export async function listLetters(
  app: Working,
  filter: LetterFilter,
  limit: number,
  from: { queue: string; after: number } | undefined,
): Promise<{ letters: SeenLetter[]; next: { queue: string; after: number } | undefined }> {
  const queues = queuesOf(app, filter);
  const found: SeenLetter[] = [];
  const until = app.clock.now().getTime() + lookForMs;
  for (const queue of queues.slice(from ? Math.max(0, queues.indexOf(from.queue)) : 0)) {
    let after = from?.queue === queue ? from.after : 0;
    for (;;) {
      const page = await app.queue.peekDeadLetters(queue, after, looked);
      for (const letter of page) {
        after = letter.sequence;
        if (!isMeant(filter, letter)) continue;
        found.push(await seen(app, queue, letter));
        if (found.length === limit) return { letters: found, next: { queue, after } };
      }
      if (page.length === 0) break;
      if (app.clock.now().getTime() >= until) return { letters: found, next: { queue, after } };
    }
  }
  return { letters: found, next: undefined };
}

// Whoever asks wants to hear sooner that there is more to look through.
const lookForMs = 2_000;

async function seen(app: Working, queue: string, letter: DeadLetter): Promise<SeenLetter> {
  const job = jobOf(app, letter)?.id;
  const stored = job === undefined ? undefined : await app.records.read(job);
  return { queue, letter, job, record: stored?.record };
}

export interface LetterGroup {
  queue: string;
  reason: string;
  type: string;
  /** The description of the first, without what differs: numbers and ids. */
  error: string;
  count: number;
  oldest: string | undefined;
  newest: string | undefined;
}

// What differs from job to job in the same failure.
const fingerprintOf = (text: string): string =>
  text
    .replaceAll(/[\w-]*\d[\w-]*/g, '…')
    .replaceAll(/\s+/g, ' ')
    .slice(0, 200);

/** How many there are of each kind; `isWhole` is false when two seconds were too short to count all. */
export async function groupLetters(
  app: Working,
  filter: LetterFilter,
): Promise<{ groups: LetterGroup[]; isWhole: boolean }> {
  const groups = new Map<string, LetterGroup>();
  const until = app.clock.now().getTime() + lookForMs;
  for (const queue of queuesOf(app, filter))
    for (let after = 0; ; ) {
      const page = await app.queue.peekDeadLetters(queue, after, looked);
      const last = page.at(-1);
      if (!last) break;
      after = last.sequence;
      for (const letter of page) if (isMeant(filter, letter)) count(groups, queue, letter);
      if (app.clock.now().getTime() >= until) return { groups: sorted(groups), isWhole: false };
    }
  return { groups: sorted(groups), isWhole: true };
}

function count(groups: Map<string, LetterGroup>, queue: string, letter: DeadLetter): void {
  const reason = letter.reason ?? '';
  const type = typeOf(letter);
  const error = fingerprintOf(letter.description ?? '');
  const name = JSON.stringify([queue, reason, type, error]);
  const at = letter.message.enqueuedAt?.toISOString();
  const known = groups.get(name) ?? {
    queue,
    reason,
    type,
    error,
    count: 0,
    oldest: at,
    newest: at,
  };
  groups.set(name, { ...known, count: known.count + 1, newest: at });
}

const sorted = (groups: ReadonlyMap<string, LetterGroup>): LetterGroup[] =>
  [...groups.values()].sort((a, b) => b.count - a.count);
