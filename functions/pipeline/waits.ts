/** `job.sleep`, `job.event`, `job.children`: what lets the worker go until it has come. */
import type { Job, JobRequest, Settled } from '../define-job.ts';
import { EventTimeoutError, NonRetryableError, toErrorRecord } from '../errors.ts';
import { type Duration, toMs } from '../model/duration.ts';
import type { ChildGroup } from '../model/job-record.ts';
import { beginGroup, firstFailure, gatherResults, sendChildren } from './children.ts';
import { kept } from './claim-check.ts';
import { type Run, refuseInsideStep } from './run.ts';
import { validate } from './validate.ts';
import { isOver } from './wait.ts';

type Waits = Pick<Job, 'sleep' | 'event' | 'children' | 'childrenSettled'>;

export function createWaits(run: Run): Waits {
  let unnamed = 0;
  return {
    async sleep(...args: [Duration] | [string, Duration]) {
      const [name, duration] = args.length === 2 ? args : [`sleep ${++unnamed}`, args[0]];
      begin(run, `Sleep '${name}'`);
      const until = untilOf(run, 'sleep', name, duration);
      if (!isPast(run, until)) await run.suspension.wait(run.undo ? {} : { until });
    },
    event: (name, options = {}) => event(run, name, options.timeout) as never,
    async children(name, requests, { limit } = {}) {
      const outcomes = await outcomesOf(run, name, requests, limit, false);
      return outcomes.map(resultOf) as never;
    },
    childrenSettled: (name, requests, { limit } = {}) =>
      outcomesOf(run, name, requests, limit, true) as never,
  };
}

function begin({ signal, definition }: Run, what: string): void {
  signal.throwIfAborted();
  refuseInsideStep(what);
  if (definition.ordered)
    throw new NonRetryableError(
      `${what} cannot stand in a job that is ordered: while it waits, the next of its key would run.`,
    );
}

/** Fixed when it is first met. */
function untilOf(
  { checkpoint, app }: Run,
  kind: 'sleep' | 'event',
  name: string,
  duration: Duration,
): string {
  const known = checkpoint.visit(kind, name)?.until;
  if (known) return known;
  const until = new Date(app.clock.now().getTime() + toMs(duration)).toISOString();
  checkpoint.note(kind, name, { until });
  return until;
}

/** The timer's word counts as much as this machine's clock. */
function isPast({ lease: { record }, app }: Run, until: string): boolean {
  const rung = record.woken === record.turn ? (record.runAt ?? '') : '';
  return new Date(until) <= app.clock.now() || until <= rung;
}

async function event(run: Run, name: string, timeout: Duration | undefined): Promise<unknown> {
  begin(run, `Event '${name}'`);
  const { checkpoint, lease, definition, suspension, app } = run;
  const schema = definition.events?.[name];
  if (!schema)
    throw new NonRetryableError(
      `Event '${name}' is not among the \`events\` of ${definition.type}.`,
    );
  const until = timeout && untilOf(run, 'event', name, timeout);
  if (!timeout) checkpoint.visit('event', name);
  const payload = lease.record.events?.[name];
  const late = checkpoint.isLate(name);
  if (payload && !late) {
    const raw = JSON.parse(await kept(app.blobs, payload)) as unknown;
    return validate(schema, raw, `Event '${name}'`);
  }
  if (until && (late || isPast(run, until))) {
    // Should it come after all, the handler has gone another way by then.
    checkpoint.note('event', name, { until, late: true });
    throw new EventTimeoutError(name, until);
  }
  return suspension.wait(run.undo ? {} : { event: name, ...(until ? { until } : {}) });
}

/** The group once it is over; undefined for one that has nobody in it. */
async function groupOf(
  run: Run,
  name: string,
  requests: readonly JobRequest[],
  limit: number | undefined,
  settled: boolean,
): Promise<ChildGroup | undefined> {
  const { app, lease, checkpoint, suspension } = run;
  if (requests.length === 0) return undefined;
  if (run.undo) {
    const known = lease.record.children?.[name];
    return known && isOver(known) ? known : suspension.wait({});
  }
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= 1000))
    throw new NonRetryableError(
      `The limit of children '${name}' is a whole number from 1 to 1000.`,
    );
  const begun = await suspension.during(() =>
    beginGroup(app, lease, name, requests.length, settled),
  );
  if (isOver(begun)) return begun;
  if (!checkpoint.has(name)) {
    await suspension.during(() => sendChildren(app, lease.record, name, begun, requests, limit));
    checkpoint.note('children', name, {});
  }
  const now = lease.record.children?.[name] ?? begun;
  return isOver(now) ? now : suspension.wait({ children: name });
}

type Kept = { ok: true; result: unknown } | { ok: false; error: { name: string; message: string } };

/** What became of each; unless they are to be settled, the first that failed is thrown. */
async function outcomesOf(
  run: Run,
  name: string,
  requests: readonly JobRequest[],
  limit: number | undefined,
  settled: boolean,
): Promise<Settled<unknown>[]> {
  begin(run, `Children '${name}'`);
  const { app, lease, checkpoint, suspension, reporter } = run;
  if (checkpoint.visit('children', name)?.value)
    return ((await checkpoint.valueOf(name)) as Kept[]).map(revive);
  const group = await groupOf(run, name, requests, limit, settled);
  if (!group) return [];
  const { id } = lease.record;
  if (!settled && group.failed.length > 0) throw await firstFailure(app, id, name, group);
  return suspension.during(async () => {
    const results = await gatherResults(app, id, name, group);
    if (!settled) results.forEach(resultOf);
    const value = results.map((one) =>
      one.ok ? one : { ok: false, error: { ...toErrorRecord(one.error), stack: undefined } },
    ) as Kept[];
    await checkpoint.put('children', name, { value }, reporter.take());
    return value.map(revive);
  });
}

/** @throws the error of one that failed */
function resultOf(one: Settled<unknown>): unknown {
  if (one.ok) return one.result;
  throw one.error;
}

// The same from the checkpoint as at first.
const revive = (one: Kept): Settled<unknown> =>
  one.ok ? one : { ok: false, error: Object.assign(new Error(one.error.message), one.error) };
