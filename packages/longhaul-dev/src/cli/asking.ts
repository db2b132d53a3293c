/** What commands that ask an app have in common: where it is, who asks, how the answer is shown. */
import type { Command } from 'commander';
import { connect, type HttpClient, type JobStatus } from 'longhaul/client';
import { say } from './say.ts';

export interface Where {
  url: string;
  key?: string | undefined;
  token?: string | undefined;
  json?: boolean;
}

export type Client = HttpClient<[]>;

const { env } = process;

export function clientOf({ url, key, token }: Where): Client {
  const headers = {
    ...(key ? { 'x-functions-key': key } : {}),
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  return connect<[]>({ url: url.replace(/\/api\/?$/, ''), headers });
}

export const forAny = (command: Command): Command =>
  command
    .option('--url <url>', 'of the app', env['LONGHAUL_URL'] ?? 'http://localhost:7071')
    .option('--key <key>', 'a function key (or LONGHAUL_KEY)', env['LONGHAUL_KEY'])
    .option('--token <token>', 'an Entra token (or LONGHAUL_TOKEN)', env['LONGHAUL_TOKEN'])
    .option('--json', 'for programs');

/** Columns as wide as what is in them. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths =
    rows[0]?.map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

export function show(value: unknown, asJson: boolean | undefined, text: () => string): void {
  say(asJson ? JSON.stringify(value, null, 2) : text());
}

/** A job that was started for an operator. */
export function started(job: JobStatus, asJson: boolean | undefined): void {
  show(job, asJson, () => `${job.id}\nFollow it: longhaul job ${job.id} wait`);
}
