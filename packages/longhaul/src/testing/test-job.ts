/**
 * What a test of job types imports, as `longhaul/testing`: jobs run in memory, by the same pipeline as in
 * production, on a clock that the test moves.
 *
 * @example
 * const run = testJob(orders, { item: 'book' });
 * await run.until('waiting');
 * await run.event('approved', { by: 'ada' });
 * await run.skip('3d');
 * assert.deepEqual(await run.result, { sent: 'book' });
 */
import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { submit } from '../admit/submit.ts';
import { defaultLane } from '../define/catalogue.ts';
import type { Catalogue, Duration, Events, JobType, RequestOptions } from '../define/define-job.ts';
import { toMs } from '../model/duration.ts';
import { createIdMaker } from '../model/id.ts';
import { readTopology, type Topology } from '../model/topology.ts';
import { type GivenChildren, type GivenSteps, withGiven } from './given.ts';
import { MemoryApp } from './memory-app.ts';
import { Deaths } from './test-process.ts';
import { TestRun } from './test-run.ts';

export type { Given, GivenChildren, GivenStep, GivenSteps } from './given.ts';
export type { KeptFile, Reply, Status, TestRun } from './test-run.ts';

export interface TestAppOptions {
  /** What the clock says at first; default the present. */
  now?: Date | string;
  /** Blobs of the container `inbox`, by name. */
  inbox?: Readonly<Record<string, string | Uint8Array>>;
  /** Results of children, by their type, or functions of their input, in place of running them. */
  children?: GivenChildren;
  /** The app's `topology.json`; default one that has every lane the types name. */
  topology?: URL | object;
  /** How long one run of a handler may take in real time; default '30s'. */
  patience?: Duration;
  /** Of `surviveCrashes`. */
  deaths?: Deaths;
}

export interface TestJobOptions
  extends TestAppOptions,
    Omit<RequestOptions, 'callback' | 'replyToSessionId'> {
  /** Other types that it sends out as children. */
  types?: Catalogue;
  /** Outcomes of its steps and checkpoints, by name, in place of running them. */
  steps?: GivenSteps;
}

export interface TestApp {
  /** What its clock says. */
  readonly now: Date;
  /** Asks for a job. It runs as soon as a call waits for something. */
  start<I, R, E extends Events>(
    type: JobType<string, I, R, E>,
    input: NoInfer<I>,
    options?: Omit<RequestOptions, 'callback' | 'replyToSessionId'>,
  ): TestRun<R, E>;
  /** One that is there: a child, a run of a schedule. */
  job(id: string): TestRun;
  /** All that are there, the oldest first; of one type, if given. */
  jobs(type?: string): TestRun[];
  skip(duration: Duration): Promise<void>;
  crash(): void;
}

/** An app that serves these types; their declared schedules start jobs as the clock is moved. */
export function testApp(
  types: Catalogue,
  options: TestAppOptions & {
    /** By type and step. */
    steps?: Readonly<Record<string, GivenSteps>>;
  } = {},
): TestApp {
  const { steps = {} } = options;
  const stepsOf = (type: string) => (Object.hasOwn(steps, type) ? (steps[type] ?? {}) : {});
  return appOf(createApp(types, options, stepsOf, true));
}

/** A job of this type, in an app of its own. Declared schedules rest. */
export function testJob<I, R, E extends Events>(
  type: JobType<string, I, R, E>,
  input: NoInfer<I>,
  options: TestJobOptions = {},
): TestRun<R, E> {
  const { types = [], steps = {} } = options;
  const { delay, runAt, startBefore, priority, replyTo, correlationId, requestedBy } = options;
  const own = { delay, runAt, startBefore, priority, replyTo, correlationId, requestedBy };
  const given = Object.entries(own).filter(([, value]) => value !== undefined);
  const all = [type, ...types.filter((other) => other !== (type as JobType))] as Catalogue;
  const stepsOf = (name: string) => (name === type.type ? steps : {});
  const app = appOf(createApp(all, options, stepsOf, false));
  return app.start(type, input, Object.fromEntries(given));
}

const replies = 'replies';
// More than any test has children.
const mostHandOvers = 100_000;

function createApp(
  types: Catalogue,
  options: TestAppOptions,
  stepsOf: (type: string) => GivenSteps,
  schedules: boolean,
): MemoryApp {
  const { now = new Date(), children = {}, inbox = {}, patience = '30s' } = options;
  const served = withGiven(types, stepsOf, children);
  const app = new MemoryApp(
    served,
    options.topology ? readTopology(options.topology) : topologyFor(served),
    {
      now: new Date(now),
      patienceMs: toMs(patience),
      mostHandOvers,
      schedules,
      deaths: options.deaths ?? new Deaths(),
    },
  );
  for (const [name, content] of Object.entries(inbox))
    app.stores.inbox.set(name, Buffer.from(content));
  return app;
}

/** With each lane that a type names. The longest that a lane of the sample allows is the most here. */
function topologyFor(types: Catalogue): Topology {
  const named = types.flatMap(({ definition: { lane = defaultLane, priorities = [] } }) => [
    lane,
    ...priorities,
  ]);
  const lanes = [...new Set([defaultLane, ...named])].map((name) => ({
    ...{ name, plain: name, keyed: `${name}-keyed`, maxTimeout: '2h' as const },
  }));
  return { lanes, completions: 'completions', replies: [replies], inbox: 'inbox', queues: [] };
}

/** So that there is a reply to look at. */
function replyTo({ replies, queues }: Topology): RequestOptions {
  const inSession = queues.filter(({ requiresSession }) => requiresSession);
  const found = replies.find((name) => !inSession.some((queue) => queue.name === name));
  return found === undefined ? {} : { replyTo: found };
}

const newId = createIdMaker(randomBytes);

function appOf(app: MemoryApp): TestApp {
  const runOf = (id: string) => new TestRun(app, id, Promise.resolve(id));
  return {
    get now() {
      return new Date(app.clock.now);
    },
    start(type, input, options = {}) {
      const id = newId(new Date(app.clock.now));
      const request = type.with(input, { ...replyTo(app.api.topology), ...options });
      // Its id is known before it is accepted.
      const accepted = submit({ ...app.api, newId: () => id }, request);
      return new TestRun(
        app,
        id,
        accepted.then(({ record }) => record.id),
      );
    },
    job: runOf,
    jobs: (type) =>
      app.records
        .filter((record) => type === undefined || record.type === type)
        .sort((a, b) => (a.createdAt < b.createdAt ? -1 : a.createdAt > b.createdAt ? 1 : 0))
        .map(({ id }) => runOf(id)),
    skip: (duration) => app.inTurn(() => app.skip(toMs(duration))),
    crash: () => app.crash(),
  };
}

/**
 * Runs a test over and over, each time with the worker dying one call to storage or bus later, and
 * compares what it returns with what it returned without a death: so it is to return nothing that differs
 * by chance, such as ids. Calls of the test itself (`event`, `cancel`) die at no time. Answers how many
 * deaths that were.
 *
 * @example
 * await surviveCrashes(async (options) => {
 *   const run = testJob(orders, { item: 'book' }, options);
 *   return run.result;
 * });
 */
export async function surviveCrashes(
  test: (options: Pick<TestAppOptions, 'deaths'>) => Promise<unknown>,
): Promise<number> {
  const none = new Deaths();
  const expected = await test({ deaths: none });
  for (let at = 1; ; at++) {
    const deaths = new Deaths(at);
    const where = `With the worker dead before its call ${at} (${none.calls[at - 1] ?? 'a later one'})`;
    const got = await test({ deaths }).catch((cause: unknown) => {
      throw new Error(`${where} the test fails: ${(cause as Error).message}`, { cause });
    });
    if (!isDeepStrictEqual(got, expected))
      throw new Error(
        `${where} it comes to ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}.`,
      );
    if (!deaths.hasCome) return at - 1;
  }
}
