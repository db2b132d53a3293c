/** `npm run demo`: the stack on free ports, the report over 200,000 flights, a bar, a table, the end. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { BlobServiceClient } from '@azure/storage-blob';
import { startStack } from 'longhaul-dev';
import { freePorts } from '#dev/stack/ports.js';

const flights = join(
  dirname(createRequire(import.meta.url).resolve('vega-datasets')),
  '../data/flights-200k.json',
);
const say = (text: string) => process.stdout.write(text);

interface Status {
  id: string;
  state: string;
  progress?: { done: number; of: number; note?: string };
  error?: { message: string };
  result?: {
    rows: number;
    groups: number;
    file: { bytes: number };
    head: Record<string, number>[];
  };
}

function bar({ done = 0, of = 1, note = '' }: Partial<NonNullable<Status['progress']>> = {}) {
  const width = 40;
  const filled = Math.round((done / of) * width);
  const line = `${'█'.repeat(filled)}${'░'.repeat(width - filled)}`;
  const counts = `${done.toLocaleString('en')} of ${of.toLocaleString('en')} rows`;
  // On a terminal the bar is drawn over itself; in a file each state has its line.
  say(process.stdout.isTTY ? `\r${line} ${counts}  ${note}   ` : `${line} ${counts}  ${note}\n`);
}

async function watch(url: string, id: string): Promise<Status> {
  let shown = 0;
  for (let etag = ''; ; ) {
    const headers = { prefer: 'wait=10', ...(etag ? { 'if-none-match': etag } : {}) };
    const response = await fetch(`${url}/api/jobs/${id}`, { headers });
    if (response.status === 304) continue;
    etag = response.headers.get('etag') ?? '';
    const status = (await response.json()) as Status;
    if (status.progress && status.progress.done !== shown) bar(status.progress);
    shown = status.progress?.done ?? 0;
    if (['succeeded', 'failed', 'cancelled', 'expired'].includes(status.state)) return status;
  }
}

function table(rows: Record<string, number>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const cell = (value: number) =>
    Number.isInteger(value) ? value.toLocaleString('en') : value.toFixed(2);
  const lines = [columns, ...rows.map((row) => columns.map((name) => cell(row[name] ?? 0)))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  for (const [n, line] of lines.entries()) {
    const text = line.map((value, i) => value.padStart(widths[i] ?? 0)).join('  ');
    say(`${n === 0 ? styleText('bold', text) : text}\n`);
  }
}

async function demo(): Promise<void> {
  const data = await mkdtemp(join(tmpdir(), 'longhaul-demo-'));
  const [http = 0, serviceBus = 0, blob = 0, queue = 0, tablePort = 0] = await freePorts(5);
  say('Starting Azurite, Service Bus and the Functions host …\n');
  const stack = await startStack({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    data,
    host: '127.0.0.1',
    ports: { http, serviceBus, blob, queue, table: tablePort },
  });
  try {
    const inbox = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient('inbox');
    await inbox.createIfNotExists();
    await inbox.getBlockBlobClient('flights.json').uploadData(await readFile(flights));
    const began = performance.now();
    const response = await fetch(`${stack.url}/api/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        type: 'report',
        input: {
          blob: 'flights.json',
          chunkRows: 2_000,
          groupBy: [{ column: 'time', bin: 2 }],
          measures: [
            { column: 'delay', of: 'mean' },
            { column: 'delay', of: 'max' },
            { column: 'distance', of: 'sum' },
          ],
        },
      }),
    });
    const { id } = (await response.json()) as Status;
    say(`Job ${id}: delays of 200,000 flights by the hour of departure\n`);
    const { state, error, result } = await watch(stack.url, id);
    if (state !== 'succeeded' || !result) throw new Error(`The job ${state}: ${error?.message}`);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    say(
      `\n${result.groups} groups from ${result.rows.toLocaleString('en')} rows in ${seconds} s\n\n`,
    );
    table(result.head);
    const file = await fetch(`${stack.url}/api/jobs/${id}/files/report.csv`);
    const { length } = await file.text();
    say(`\nThe same as CSV (${length} bytes) was at ${file.url}\n`);
  } finally {
    await stack.stop();
    await rm(data, { recursive: true, force: true });
  }
}

await demo();
