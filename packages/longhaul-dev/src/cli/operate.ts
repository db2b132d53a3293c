/** Commands for who operates an app: what waits and why, what is paused, what was given up on. */
import { Command } from 'commander';
import type { Action } from 'longhaul/client';
import { type Client, clientOf, show, started, table, type Where } from './asking.ts';

export const operatingCommands = (): Command[] => [
  queues(),
  workers(),
  pauses(),
  errors(),
  deadLetters(),
  actions(),
];

const queues = () =>
  new Command('queues')
    .description('what lies in each lane (1000 stands for more), and who serves it')
    .action(async (where: Where) => {
      const lanes = await clientOf(where).queues();
      show(lanes, where.json, () =>
        table([
          ['lane', 'queue', 'active', 'scheduled', 'dead letters', 'oldest', 'workers', 'places'],
          ...lanes.flatMap(({ lane, queues: both, workers: count, places }) =>
            both.map((one) => [
              ...[lane, one.queue, one.active, one.scheduled, one.deadLetters].map(String),
              ...[one.oldestAt ?? '', String(count), String(places)],
            ]),
          ),
        ]),
      );
    });

const workers = () =>
  new Command('workers')
    .description('the processes that were heard of lately, and what they run')
    .action(async (where: Where) => {
      const all = await clientOf(where).workers();
      show(all, where.json, () =>
        table([
          ['app', 'instance', 'lanes', 'running', 'since', 'heard of'],
          ...all.map((one) => [
            ...[one.app, one.instance, one.lanes.join(' '), `${one.running}/${one.places}`],
            ...[one.since, one.at],
          ]),
        ]),
      );
    });

const errors = () =>
  new Command('errors')
    .description('failed jobs by type, error and line, the most frequent first')
    .option('--type <type>')
    .option('--from <time>', 'submitted from then on')
    .option('--to <time>', 'submitted before then')
    .action(async ({ url, key, token, json, ...filter }: Where & Record<string, string>) => {
      const all = await clientOf({ url: url ?? '', key, token }).errors(filter);
      show(all, json as never, () =>
        table([
          ['count', 'type', 'error', 'at', 'last', 'newest job', 'message'],
          ...all.map((one) => [
            ...[String(one.count), one.type, one.error, one.at, one.lastAt, one.job],
            one.message.slice(0, 60),
          ]),
        ]),
      );
    });

const scopes = ['type', 'lane'] as const;

const pauses = () =>
  new Command('pauses')
    .description('lists what is paused; or pauses or resumes a type or a lane')
    .argument('[action]', 'pause, resume')
    .argument('[scope]', 'type, lane')
    .argument('[name]')
    .option('--why <text>', 'for who sees it at night')
    .option('--by <name>', 'who pauses')
    .option('--until <when>', 'a time, or a span such as 2h')
    .action(
      async (
        action: string | undefined,
        scope: string | undefined,
        name: string | undefined,
        { why, by, until, ...where }: Where & Record<string, string>,
      ) => {
        const client = clientOf(where).pauses;
        const of = scopes.find((one) => one === scope);
        const options = {
          ...(why ? { why } : {}),
          ...(by ? { by } : {}),
          ...(until ? { until } : {}),
        };
        if (action === 'pause' && of && name) await client.pause(of, name, options);
        else if (action === 'resume' && of && name) await client.resume(of, name);
        else if (action !== undefined)
          throw new Error('Say what: pauses pause type NAME, pauses resume lane NAME.');
        const all = await client.list();
        show(all, where.json, () =>
          table([
            ['what', 'name', 'state', 'waiting', 'since', 'until', 'by', 'why'],
            ...all.map((one) => [
              ...[one.scope, one.name, one.state, String(one.waiting), one.at],
              ...[one.until ?? '', one.by ?? '', one.why ?? ''],
            ]),
          ]),
        );
      },
    );

type LetterOptions = Where & {
  lane?: string;
  queue?: string;
  type?: string;
  reason?: string;
  error?: string;
  sequences?: string[];
  pace?: string;
  why?: string;
  by?: string;
  limit?: string;
  cursor?: string;
};

const deadLetters = () =>
  new Command('dead-letters')
    .description('groups, list, redrive, discard: messages that were given up on')
    .argument('[action]', 'groups, list, redrive, discard', 'groups')
    .option('--lane <lane>')
    .option('--queue <queue>')
    .option('--type <type>')
    .option('--reason <reason>')
    .option('--error <text>', 'in the description')
    .option('--sequences <numbers...>', 'of the one queue that is named')
    .option('--pace <n>', 'so many a second; default 50')
    .option('--why <text>', 'to discard')
    .option('--by <name>', 'who does it')
    .option('--limit <n>', '1 to 1000', '20')
    .option('--cursor <cursor>', 'of the page before')
    .action(async (action: string, options: LetterOptions) => {
      const { url, key, token, json, sequences, pace, why, by, limit, cursor, ...filter } = options;
      const client = clientOf({ url, key, token });
      const chosen = {
        ...filter,
        ...(sequences ? { sequences: sequences.map(Number) } : {}),
        ...(pace ? { pace: Number(pace) } : {}),
        ...(by ? { by } : {}),
      };
      if (action === 'groups') return groups(client, filter, json);
      if (action === 'list') {
        const page = await client.deadLetters.list({ ...filter, limit, cursor } as never);
        const more = page.cursor ? `\nMore: --cursor ${page.cursor}` : '';
        return show(page, json, () => letterTable(page.letters) + more);
      }
      if (action === 'redrive') return started(await client.deadLetters.redrive(chosen), json);
      if (action !== 'discard')
        throw new Error('Dead letters have groups, list, redrive and discard.');
      if (!why) throw new Error('Say why they are discarded: --why TEXT.');
      return started(await client.deadLetters.discard({ ...chosen, why }), json);
    });

async function groups(client: Client, filter: object, json: boolean | undefined): Promise<void> {
  const all = await client.deadLetters.groups(filter);
  show(all, json, () =>
    table([
      ['count', 'queue', 'type', 'reason', 'error'],
      ...all.map((one) => [
        ...[String(one.count), one.queue, one.type, one.reason, one.error.slice(0, 80)],
      ]),
    ]),
  );
}

type Letters = Awaited<ReturnType<Client['deadLetters']['list']>>['letters'];

const letterTable = (letters: Letters): string =>
  table([
    ['queue', 'number', 'type', 'job', 'state', 'reason', 'description'],
    ...letters.map((one) => [
      ...[one.queue, String(one.sequence), one.type, one.job?.id ?? '', one.job?.state ?? ''],
      ...[one.reason ?? '', (one.description ?? '').slice(0, 60)],
    ]),
  ]);

const deeds = ['retry', 'cancel', 'delete'] as const;

const actions = () =>
  new Command('act')
    .description('retry, cancel or delete all jobs that are meant, as a job that can be followed')
    .argument('<action>', deeds.join(', '))
    .option('--type <type>')
    .option('--state <state>')
    .option('--job-key <key>', 'of this key')
    .option('--requested-by <name>')
    .option('--parent <id>')
    .option('--schedule <id>')
    .option('--from <time>', 'submitted from then on')
    .option('--to <time>', 'submitted before then')
    .option('--error <text>', 'in the error')
    .option('--pace <n>', 'so many a second; default 100')
    .option('--why <text>')
    .option('--by <name>', 'who does it')
    .option('--dry-run', 'only counts them')
    .action(async (deed: string, options: Where & Record<string, string>) => {
      const { url, key, token, json, pace, why, by, dryRun, jobKey, ...rest } = options;
      const filter = { ...rest, ...(jobKey ? { key: jobKey } : {}) };
      const what = deeds.find((one) => one === deed);
      if (!what) throw new Error(`Jobs can be told to ${deeds.join(', ')}.`);
      const action: Action = {
        ...{ do: what, filter },
        ...(pace ? { pace: Number(pace) } : {}),
        ...(why ? { why } : {}),
        ...(by ? { by } : {}),
      };
      const client = clientOf({ url: url ?? '', key, token });
      if (!dryRun) return started(await client.act(action), json as never);
      const counted = await client.count(action);
      const more = counted.isWhole ? '' : ' or more';
      show(counted, json as never, () => `${counted.count}${more} jobs are meant.`);
    });
