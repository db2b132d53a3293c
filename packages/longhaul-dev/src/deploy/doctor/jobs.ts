/** One job of each kind, by HTTP alone. */
import { hasEnded, type State } from 'longhaul/internal/model/job-record';
import { json } from './api.ts';
import { type Check, Skipped, until } from './check.ts';
import type { Site } from './site.ts';

interface Job {
  id: string;
  state: State;
  result?: unknown;
  error?: { message: string };
}

const post = (body: unknown) => ({ method: 'POST', body: JSON.stringify(body) });
export const pathOf = (id: string) => `/jobs/${encodeURIComponent(id)}`;

/** @throws Skipped where the app has no such type */
async function mustHave(site: Site, type: string): Promise<void> {
  const types = (await json(site, '/job-types')) as { type: string }[];
  if (types.some((known) => known.type === type)) return;
  throw new Skipped(`this app has no job type '${type}': see functions/jobs/probe.ts`);
}

export async function submit(site: Site, type: string, input: object, more = {}): Promise<Job> {
  await mustHave(site, type);
  const job = (await json(site, '/jobs', post({ type, input, ...more }))) as Job;
  site.later.push(() => cancelled(site, job.id));
  return job;
}

/** What has not ended by then is not left behind. */
async function cancelled(site: Site, id: string): Promise<void> {
  const { state } = (await json(site, pathOf(id))) as Job;
  if (!hasEnded(state)) await json(site, `${pathOf(id)}/cancel`, { method: 'POST' });
}

export async function ended(site: Site, id: string): Promise<Job> {
  let last: State | 'never seen' = 'never seen';
  const job = await until(site, 'the end of the job', async () => {
    const now = (await json(site, pathOf(id), { headers: { prefer: 'wait=5' } })) as Job;
    last = now.state;
    return hasEnded(now.state) ? now : undefined;
  }).catch((error: Error) => {
    throw new Error(`${error.message}; job ${id} is ${last}`);
  });
  if (job.state !== 'succeeded')
    throw new Error(`job ${id} is ${job.state}: ${job.error?.message ?? 'without an error'}`);
  return job;
}

const notTaken =
  "A job that stays queued is taken by nobody: is work-QUEUE among the functions, and enabled (check 'functions')? Has the identity its role on the queue (check 'roles')? The first job of a lane waits for an instance, up to a minute.";

const plain: Check = {
  name: 'job',
  question: 'Does a plain job run to its end?',
  todo: notTaken,
  after: 'let in',
  async run(site) {
    const { id } = await submit(site, 'probe', { mark: site.mark });
    await ended(site, id);
    return `job ${id}`;
  },
};

const keyed: Check = {
  name: 'keyed job',
  question:
    "Do jobs of a key run in turn, and hand each other the key's state? (Sessions, and session state in the Service Bus extension.)",
  todo: `If both ran and the state was lost, the extension does not serve session state: job.session cannot be used there. ${notTaken}`,
  after: 'job',
  async run(site) {
    const [first, second] = [1, 2].map(() => submit(site, 'probe.keyed', { mark: site.mark }));
    await ended(site, (await first)?.id ?? '');
    const { result } = await ended(site, (await second)?.id ?? '');
    const jobs = (await json(site, `/jobs?key=${site.mark}`)) as { jobs: Job[] };
    const times = jobs.jobs.map((job) => (job.result as { times: number }).times).sort();
    if (times.join() !== '1,2')
      throw new Error(`the two jobs saw ${times.join(' and ')}, not 1 and 2`);
    return `the second saw what the first left: ${JSON.stringify(result)}`;
  },
};

const waiting: Check = {
  name: 'waiting job',
  question: 'Does a job that waits for an event hear of it?',
  todo: "News go by the completions queue: is take-completions among the functions of the API's app, and enabled? Do dead letters lie in `completions`?",
  after: 'job',
  async run(site) {
    const { id } = await submit(site, 'probe', { mark: site.mark, waits: true });
    await until(site, `job ${id} to wait`, async () =>
      ((await json(site, pathOf(id))) as Job).state === 'waiting' ? true : undefined,
    );
    await json(site, `${pathOf(id)}/events/go`, post({}));
    await ended(site, id);
    return `job ${id}`;
  },
};

const batch: Check = {
  name: 'batch',
  question: 'Are twenty jobs of one request taken and run?',
  todo: 'A single job ran, so look at what is answered for each: Service Bus throttles (Standard has 1,000 credits a second), or a proxy in front bounds the body.',
  after: 'job',
  async run(site) {
    const all = Array.from({ length: 20 }, () => ({ type: 'probe', input: { mark: site.mark } }));
    const { accepted, results } = (await json(site, '/jobs/batch', post(all))) as {
      accepted: number;
      results: { id: string }[];
    };
    if (accepted !== all.length) throw new Error(`${accepted} of ${all.length} were accepted`);
    for (const { id } of results) await ended(site, id);
    return `${accepted} jobs`;
  },
};

const schedule: Check = {
  name: 'schedule',
  question: 'Does a job start when its schedule says so?',
  todo: "The timer run-schedules looks every 15 seconds: is it among the functions of the API's app, and enabled? Timers keep their state in the host's account (AzureWebJobsStorage, its role). Alert: scheduler-silent.",
  after: 'job',
  async run(site) {
    await mustHave(site, 'probe');
    const path = `/schedules/${site.mark}`;
    const at = new Date(Date.now() + 3_000).toISOString();
    const body = { type: 'probe', input: { mark: site.mark }, at };
    await json(site, path, { method: 'PUT', body: JSON.stringify(body) });
    site.later.push(() => json(site, path, { method: 'DELETE' }));
    const id = await until(site, 'a job of the schedule', async () => {
      const { jobs } = (await json(site, `/jobs?schedule=${site.mark}`)) as { jobs: Job[] };
      return jobs[0]?.id;
    });
    await ended(site, id);
    return `due at ${at}: job ${id}`;
  },
};

const nativeCode: Check = {
  name: 'native code',
  question:
    'Is the native code in the package that of the machine? (azd or a build elsewhere may swap it.)',
  todo: 'Publish what npm run package made, as it is: no remote build, no npm install on another system.',
  after: 'job',
  async run(site) {
    // One white pixel.
    const image =
      'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg==';
    const { id } = await submit(site, 'thumbnail', { image, width: 1 });
    await ended(site, id);
    return `thumbnail ran as job ${id}`;
  },
};

const stream: Check = {
  name: 'stream',
  question: 'Do server-sent events come through?',
  todo: 'Something between here and the app holds the answer back or cuts it: a proxy that buffers. Watch by GET /jobs/ID with Prefer: wait instead.',
  after: 'job',
  async run(site) {
    const { id } = await submit(site, 'probe', { mark: site.mark });
    const signal = AbortSignal.timeout(site.patienceMs);
    const response = await site.api.call(`${pathOf(id)}/events`, { signal });
    const text = await response.text();
    if (!text.includes('"state":"succeeded"'))
      throw new Error(`it ended with: ${text.slice(-200)}`);
    return `${text.split('\n\n').length - 1} events`;
  },
};

export const jobChecks: Check[] = [plain, nativeCode, keyed, waiting, batch, schedule, stream];
