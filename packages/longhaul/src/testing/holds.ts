/** What holds up a job that is at rest, for who waits for it to go on. */
import { groupNamed, hasEndedChild } from '../fate/waiting.ts';
import { idOfChild } from '../model/id.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';

export interface Hold {
  /** Said of the job: "it waits for …". */
  why: string;
  /** When it ends by itself. */
  at?: string;
  /** Of the pipeline's own making, not of the job's: a test need not pass it by hand. */
  isBackoff?: true;
  /** What the test is to call. */
  call?: string;
}

/** Of the job, or of the children and neighbours that it waits for. */
export function holdsOf(
  record: JobRecord,
  all: readonly JobRecord[],
  now: Date,
  seen: ReadonlySet<string> = new Set(),
): Hold[] {
  if (seen.has(record.id)) return [];
  const known = new Set([...seen, record.id]);
  const of = (others: readonly JobRecord[]) =>
    others.filter(({ state }) => !hasEnded(state)).flatMap((one) => holdsOf(one, all, now, known));
  if (record.state === 'waiting')
    return [...waitsOf(record, known.size > 1), ...of(childrenOf(record, all))];
  const { runAt } = record;
  if (runAt && new Date(runAt) > now) return [dueLater(record, runAt)];
  return of(all.filter((one) => isBefore(one, record)));
}

/** Another of its session, which is taken one at a time. */
const isBefore = (one: JobRecord, { id, queue, key, session }: JobRecord): boolean =>
  one.id !== id &&
  key !== undefined &&
  one.queue === queue &&
  one.key === key &&
  one.session === session;

function dueLater(record: JobRecord, at: string): Hold {
  const { attempt, ending, putBack, history = [], type } = record;
  if (attempt === 1 && !ending && !putBack)
    return { why: `${type} is to start at ${at}`, at, call: 'run.skip' };
  const last = history.at(-1)?.error.message;
  const why = `${type} is tried again at ${at}${last ? `, after: ${last}` : ''}`;
  return { why, at, isBackoff: true };
}

function waitsOf({ type, id, parent, waits = {} }: JobRecord, isOther: boolean): Hold[] {
  const { until, events = [] } = waits;
  const who = isOther ? `${type} (${id})` : 'it';
  const other = parent === undefined ? `app.job('${id}')` : `run.children('${type}')[…]`;
  const run = isOther ? other : 'run';
  const skip = until ? [`${run}.skip`] : [];
  const at = until ? { at: until } : {};
  if (events.length === 0)
    return until ? [{ why: `${who} sleeps until ${until}`, ...at, call: skip.join() }] : [];
  const named = events.map((name) => `'${name}'`).join(' or ');
  return [
    {
      why: `${who} waits for event ${named}${until ? `, until ${until}` : ''}`,
      ...at,
      call: [...events.map((name) => `${run}.event('${name}', …)`), ...skip].join(' or '),
    },
  ];
}

function childrenOf(record: JobRecord, all: readonly JobRecord[]): JobRecord[] {
  const byId = new Map(all.map((one) => [one.id, one]));
  return (record.waits?.children ?? []).flatMap((name) => {
    const group = groupNamed(record, name);
    if (!group) return [];
    return Array.from({ length: group.of }, (_, index) => index)
      .filter((index) => !hasEndedChild(group, index))
      .flatMap((index) => byId.get(idOfChild(record.id, name, group, index)) ?? []);
  });
}

/** When the backoff ends that comes before any wait of the jobs'; undefined when there is none. */
export function backoffEnd(holds: readonly Hold[]): Date | undefined {
  const [first] = holds
    .filter(({ at }) => at !== undefined)
    .sort((a, b) => ((a.at ?? '') < (b.at ?? '') ? -1 : 1));
  return first?.isBackoff ? new Date(first.at ?? 0) : undefined;
}

/** What the job does, and what to call. */
export function explain(record: JobRecord, holds: readonly Hold[]): string {
  const who = `Job ${record.id} (${record.type})`;
  if (hasEnded(record.state)) {
    const { error } = record;
    return `${who} has ${record.state}${error ? `: ${error.name}: ${error.message}` : ''}.`;
  }
  if (holds.length === 0)
    return `${who} is ${record.state}, and nothing is left in the app that would go on with it.`;
  const [shown, more] = [holds.slice(0, 5), holds.length - 5];
  const whys = shown.map(({ why }) => why).join('; ');
  const calls = [...new Set(shown.flatMap(({ call }) => call ?? []))].join(', or ');
  return `${who} is ${record.state}: ${whys}${more > 0 ? `; and ${more} more` : ''}${calls ? `. Call ${calls}` : ''}.`;
}
