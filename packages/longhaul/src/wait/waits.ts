/** `job.sleep`, `job.event`, `job.children`: what lets the worker go until it has come. */
import type { Job, JobRequest, Settled } from '../define/define-job.ts';
import { validate } from '../define/validate.ts';
import { EventTimeoutError, NonRetryableError } from '../errors.ts';
import { groupNamed, isOver } from '../fate/waiting.ts';
import { type EntryKind, toText } from '../handler/checkpoint.ts';
import { failureOf, orFail } from '../handler/failures.ts';
import { refuseInsideStep } from '../handler/on-behalf.ts';
import type { Run } from '../handler/run.ts';
import { never } from '../handler/suspend.ts';
import { type Duration, toMs } from '../model/duration.ts';
import { toErrorRecord } from '../model/error-record.ts';
import type { ChildGroup } from '../model/job-record.ts';
import { loadJson as readKept } from '../record/claim-check.ts';
import { beginGroup, firstFailure, gatherResults, sendChildren } from './children.ts';

type Waits = Pick<Job, 'sleep' | 'event' | 'children' | 'childrenSettled'>;

export function createWaits(run: Run): Waits {
  let unnamed = 0;
  const watch = <T>(what: string, act: () => Promise<T>) =>
    run.calls.watch(what, async () => {
      begin(run, what);
      return act();
    });
  const group = (name: string, asked: Asked) =>
    watch(`Children '${name}'`, () => outcomesOf(run, name, asked));
  return {
    sleep(...args: [Duration] | [string, Duration]) {
      const [name, duration] = args.length === 2 ? args : [`sleep ${++unnamed}`, args[0]];
      return watch(`Sleep '${name}'`, () => sleep(run, name, duration));
    },
    event: (name, options = {}) =>
      watch(`Event '${name}'`, () => event(run, name, options.timeout)) as never,
    children: (name, requests, { limit } = {}) =>
      group(name, { requests, limit, settled: false }) as never,
    childrenSettled: (name, requests, { limit } = {}) =>
      group(name, { requests, limit, settled: true }) as never,
  };
}

function begin({ signal, definition, lease }: Run, what: string): void {
  signal.throwIfAborted();
  refuseInsideStep(what, lease.record.id);
  if (definition.ordered)
    throw new NonRetryableError(
      `${what} cannot stand in a job that is ordered: while it waits, the next of its key would run.`,
    );
}

/** Fixed when it is first met. */
function untilOf(run: Run, kind: EntryKind, name: string, duration: Duration): string {
  const { checkpoint, app } = run;
  const known = checkpoint.get(name)?.until;
  if (known) return known;
  const until = new Date(app.clock.now().getTime() + toMs(duration)).toISOString();
  checkpoint.stage(kind, name, { until });
  return until;
}

/** The timer's word counts as much as this machine's clock, which may be behind. */
function isPast({ lease: { record }, app }: Run, until: string): boolean {
  return new Date(until) <= app.clock.now() || until <= (record.rung ?? '');
}

async function sleep(run: Run, name: string, duration: Duration): Promise<void> {
  const { checkpoint, suspension, undo } = run;
  const order = checkpoint.visit('sleep', name)?.order;
  if (order !== undefined) return suspension.replay(order, async () => undefined);
  if (undo) return never();
  checkpoint.begin(name, { goesOn: true });
  const until = untilOf(run, 'sleep', name, duration);
  const inRace = await suspension.wait({
    until,
    since: () => (isPast(run, until) ? until : undefined),
  });
  checkpoint.end(name);
  if (inRace) checkpoint.told();
}

async function event(run: Run, name: string, timeout: Duration | undefined): Promise<unknown> {
  const { checkpoint, lease, definition, suspension, app, undo } = run;
  const { events: declared = {} } = definition;
  const schema = Object.hasOwn(declared, name) ? declared[name] : undefined;
  if (!schema)
    throw new NonRetryableError(
      `Event '${name}' is not among the \`events\` of ${definition.type}.`,
    );
  const kept = checkpoint.visit('event', name);
  // Started again, a job that an event did not reach in time asks for it anew.
  const isOfThisStart = (kept?.late ?? Infinity) > (lease.record.triedBefore ?? 0);
  const entry = isOfThisStart || undo ? kept : undefined;
  if (kept && !entry) checkpoint.forget(name);
  const payload = () => {
    const { events = {} } = lease.record;
    return Object.hasOwn(events, name) ? events[name] : undefined;
  };
  const take = async (late: boolean, until: string | undefined) => {
    const came = payload();
    // Started again, a job may have it come that was late before.
    checkpoint.met(`${late ? '!' : ''}event ${name}`);
    if (late || !came) throw new EventTimeoutError(name, until ?? '');
    const raw = JSON.parse(await lease.persist(() => readKept(app.blobs, came))) as unknown;
    return validate(schema, raw, `Event '${name}'`);
  };
  if (entry?.order !== undefined)
    return suspension.replay(entry.order, () => take(entry.late !== undefined, entry.until));
  if (undo) return never();
  checkpoint.begin(name, { goesOn: true });
  const until = timeout && untilOf(run, 'event', name, timeout);
  checkpoint.stage('event', name, until ? { until } : {});
  const isLate = () => until !== undefined && isPast(run, until);
  const inRace = await suspension.wait({
    event: name,
    ...(until ? { until } : {}),
    since: () => (payload() ? '' : isLate() ? until : undefined),
  });
  // Should it come after all, the handler has gone another way by then.
  const late = payload() ? {} : { late: lease.record.attempt };
  checkpoint.stage('event', name, { ...(until ? { until } : {}), ...late });
  checkpoint.end(name);
  if (inRace || until !== undefined) checkpoint.told();
  return suspension.during(() => take(late.late !== undefined, until));
}

type Kept = { ok: true; result: unknown } | { ok: false; error: { name: string; message: string } };

/** What the handler asked of a group of children. */
interface Asked {
  requests: readonly JobRequest[];
  /** How many of them run at once. */
  limit: number | undefined;
  /** All are awaited, whatever becomes of them. */
  settled: boolean;
}

/** What became of each; unless they are to be settled, the first that failed is thrown. */
async function outcomesOf(run: Run, name: string, asked: Asked): Promise<unknown[]> {
  const { checkpoint, suspension } = run;
  const { requests, settled } = asked;
  const met = checkpoint.visit('children', name);
  // Started again, the job sends it anew.
  const isOfBefore = met?.value && !run.undo && !groupNamed(run.lease.record, name);
  if (isOfBefore) checkpoint.forget(name);
  const entry = isOfBefore ? undefined : met;
  const failure = failureOf(run, name, entry);
  if (failure) return failure();
  const read = (all: Kept[]) => all.map(settled ? revive : (one) => resultOf(revive(one)));
  if (entry?.value)
    return suspension.replay(entry.order, async () =>
      read((await checkpoint.valueOf(name))() as Kept[]),
    );
  if (entry?.order !== undefined && requests.length === 0)
    return suspension.replay(entry.order, async () => []);
  if (run.undo) return never();
  if (requests.length === 0) {
    // Nobody to wait for, and yet it ends in its turn.
    checkpoint.begin(name);
    await suspension.wait({ since: () => '' });
    checkpoint.stage('children', name, {});
    checkpoint.end(name);
    return [];
  }
  const order = () => checkpoint.orderOf(name);
  const sent = () => groupOf(run, name, asked);
  const group = await orFail(run, 'children', name, sent).catch(async (error: unknown) => {
    await suspension.inOrder(order());
    throw error;
  });
  return suspension.during(
    async () => read(await orFail(run, 'children', name, () => gather(run, name, group))),
    order,
  );
}

/** The group once it is over. */
async function groupOf(
  run: Run,
  name: string,
  { requests, limit, settled }: Asked,
): Promise<ChildGroup> {
  const { app, lease, checkpoint, suspension, signal } = run;
  if (limit !== undefined && !(Number.isInteger(limit) && limit >= 1 && limit <= 1000))
    throw new NonRetryableError(
      `The limit of children '${name}' is a whole number from 1 to 1000.`,
    );
  const group = await suspension.during(async () => {
    const begun = await beginGroup(run, name, requests.length, settled);
    checkpoint.begin(name, { at: Date.parse(begun.at) });
    if (!begun.sent && !isOver(begun))
      await lease.guard(() =>
        sendChildren(app, lease.record, name, begun, { requests, limit, signal }),
      );
    return begun;
  });
  const now = () => groupNamed(lease.record, name) ?? group;
  await suspension.wait({ children: name, since: () => (isOver(now()) ? '' : undefined) });
  return now();
}

async function gather(run: Run, name: string, group: ChildGroup): Promise<Kept[]> {
  const { app, lease, checkpoint, reporter } = run;
  const { id } = lease.record;
  if (!group.settled && group.failed.length > 0)
    throw await lease.guard(() => firstFailure(app, id, name, group));
  const results = await lease.guard(() => gatherResults(app, id, name, group));
  if (!group.settled) results.forEach(resultOf);
  const value = results.map((one) =>
    one.ok ? one : { ok: false, error: { ...toErrorRecord(one.error), stack: undefined } },
  ) as Kept[];
  const text = toText(value, `What '${name}' came to`);
  return (await checkpoint.put('children', name, { value: text }, reporter.take())) as Kept[];
}

/** @throws the error of one that failed */
function resultOf(one: Settled<unknown>): unknown {
  if (one.ok) return one.result;
  throw one.error;
}

// The same from the checkpoint as at first.
const revive = (one: Kept): Settled<unknown> =>
  one.ok ? one : { ok: false, error: Object.assign(new Error(one.error.message), one.error) };
