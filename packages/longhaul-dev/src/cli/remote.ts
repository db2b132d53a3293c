/** Commands for any deployment: tables for people, `--json` for programs, exit codes for scripts. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import type { JobFilter, JobStatus, Why } from 'longhaul/client';
import { hasEnded } from 'longhaul/internal/model/job-record';
import { type Client, clientOf, forAny, show, table, type Where } from './asking.ts';
import { operatingCommands } from './operate.ts';
import { say } from './say.ts';

// A program's failure is 2 (as of the doctor): 1 says that the job did not succeed.
const failedCode = 1;

const done = ({ progress, error }: JobStatus): string => {
  if (error) return `${error.name}: ${error.message}`.slice(0, 60);
  if (!progress) return '';
  return progress.of === undefined ? `${progress.done}` : `${progress.done}/${progress.of}`;
};

const listed = (jobs: readonly JobStatus[]): string =>
  table([
    ['id', 'type', 'state', 'attempt', 'created', 'progress or error'],
    ...jobs.map((job) => [
      ...[job.id, job.type, job.state, String(job.attempt), job.createdAt],
      done(job),
    ]),
  ]);

/** JSON as it stands, of a file (`@name`) or of what is piped in (`-`). */
function readInput(given: string): unknown {
  const file = given === '-' ? 0 : given.startsWith('@') ? given.slice(1) : undefined;
  const text = file === undefined ? given : readFileSync(file, 'utf8');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Error(`That is no JSON: ${text.slice(0, 100)}`, { cause });
  }
}

async function follow(client: Client, id: string, { json }: Where): Promise<void> {
  for await (const status of client.job(id).watch()) {
    if (!json) say(`${status.id}  ${status.state}  ${done(status)}`.trimEnd());
    if (!hasEnded(status.state)) continue;
    if (json) say(JSON.stringify(status, null, 2));
    else if (status.result !== undefined) say(JSON.stringify(status.result, null, 2));
    if (status.state !== 'succeeded') process.exitCode = failedCode;
  }
}

export function remoteCommands(): Command[] {
  return [jobs(), submit(), job(), schedules(), ...operatingCommands()].map(forAny);
}

const jobs = () =>
  new Command('jobs')
    .description('lists jobs, newest first')
    .option('--state <state>', 'of this state')
    .option('--type <type>', 'of this job type')
    .option('--requested-by <name>', 'asked for by')
    .option('--parent <id>', 'children of')
    .option('--schedule <id>', 'of this schedule')
    .option('--tag <tag>', 'with this tag')
    .option('--from <time>', 'submitted from then on')
    .option('--to <time>', 'submitted before then')
    .option('--error <text>', 'in the error')
    .option('--id <text>', 'in the id')
    .option('--limit <n>', '1 to 1000', '20')
    .option('--cursor <cursor>', 'of the page before')
    .action(async ({ url, key, token, json, ...filter }: Where & JobFilter) => {
      const page = await clientOf({ url, key, token }).list(filter);
      const more = page.cursor ? `\nMore: --cursor ${page.cursor}` : '';
      show(page, json, () => listed(page.jobs) + more);
    });

const submit = () =>
  new Command('submit')
    .description('submits a job')
    .argument('<type>')
    .argument('[input]', 'JSON, @file or - for what is piped in', '{}')
    .option('--delay <duration>', 'such as 10m')
    .option('--requested-by <name>', 'on whose behalf')
    .option('--wait', 'until it has ended; the exit code is 1 if it did not succeed')
    .action(
      async (
        type: string,
        input: string,
        { wait, delay, requestedBy, ...where }: Where & Record<string, string>,
      ) => {
        const client = clientOf(where);
        const options = { ...(delay ? { delay } : {}), ...(requestedBy ? { requestedBy } : {}) };
        const { id } = await client.submit({ type, input: readInput(input), options } as never);
        if (wait) return follow(client, id, where);
        show({ id }, where.json, () => id);
      },
    );

function tellWhy(told: Why, { json }: Where): void {
  show(told, json, () => told.reasons.map(({ message }) => message).join('\n'));
}

const actions = ['show', 'why', 'wait', 'result', 'cancel', 'retry', 'delete', 'event'] as const;

const job = () =>
  new Command('job')
    .description(`${actions.join(', ')}: one job`)
    .argument('<id>')
    .argument('[action]', actions.join(', '), 'show')
    .argument('[name]', 'of an event')
    .argument('[payload]', 'JSON, @file or -', '{}')
    .action(
      async (
        id: string,
        action: string,
        name: string | undefined,
        payload: string,
        where: Where,
      ) => {
        const client = clientOf(where);
        const one = client.job(id);
        if (action === 'wait') return follow(client, id, where);
        if (action === 'why') return tellWhy(await one.why(), where);
        if (action === 'result') return say(JSON.stringify(await one.result(), null, 2));
        if (action === 'delete') return one.remove();
        if (action === 'cancel') await one.cancel();
        else if (action === 'retry') await one.retry();
        else if (action === 'event' && name) await one.tell(name, readInput(payload));
        else if (action !== 'show')
          throw new Error(`A job has ${actions.join(', ')}; an event has a name.`);
        const status = await one.status();
        show(status, where.json, () => JSON.stringify(status, null, 2));
      },
    );

const schedules = () =>
  new Command('schedules')
    .description('lists schedules, with the next time of each; with an id: run, pause or resume it')
    .argument('[id]')
    .argument('[action]', 'run, pause, resume')
    .action(async (id: string | undefined, action: string | undefined, where: Where) => {
      const client = clientOf(where).schedules;
      if (!id) {
        const page = await client.list();
        return show(page, where.json, () =>
          table([
            ['id', 'type', 'enabled', 'next'],
            ...page.schedules.map((one) => [
              ...[one.id, one.type, String(one.enabled), one.next[0] ?? ''],
            ]),
          ]),
        );
      }
      if (action === 'run') {
        const { id: jobId } = await client.run(id);
        return show({ id: jobId }, where.json, () => jobId);
      }
      const changes = { pause: { enabled: false }, resume: { enabled: true } };
      if (action && !(action in changes)) throw new Error('A schedule has run, pause and resume.');
      const schedule = action
        ? await client.patch(id, changes[action as keyof typeof changes])
        : await client.get(id);
      show(schedule, where.json, () => JSON.stringify(schedule, null, 2));
    });
