/** The sample jobs on real data, against computations of the test's own. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { BlobServiceClient } from '@azure/storage-blob';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import type { Stack } from '#dev/stack/stack.js';
import { createClient } from '../support/client.ts';
import { testStack } from '../support/stack.ts';

const data = join(dirname(createRequire(import.meta.url).resolve('vega-datasets')), '../data');

let stack: Stack & { remove(): Promise<void> };
let client: ReturnType<typeof createClient>;

before(async () => {
  stack = await testStack();
  client = createClient(stack.url);
  const inbox = BlobServiceClient.fromConnectionString(stack.storage).getContainerClient('inbox');
  await inbox.createIfNotExists();
  for (const name of ['flights-200k.json', 'seattle-weather.csv'])
    await inbox.getBlockBlobClient(name).uploadFile(join(data, name));
});
after(() => stack?.remove());

async function report(input: object) {
  const { id } = await client.submit('report', input);
  const ended = await client.ended(id, 120_000);
  assert.equal(ended.state, 'succeeded', JSON.stringify(ended.error));
  const file = await client.call(`/jobs/${id}/files/report.csv`);
  assert.equal(file.headers.get('content-type'), 'text/csv');
  const rows = parse(await file.text(), { columns: true }) as Record<string, string>[];
  return { result: ended.result as { rows: number; groups: number }, rows };
}

test('200,000 flights as JSON: the figures are those of a plain loop', async () => {
  const flights = JSON.parse(await readFile(join(data, 'flights-200k.json'), 'utf8')) as {
    delay: number;
    distance: number;
    time: number;
  }[];
  const { result, rows } = await report({
    blob: 'flights-200k.json',
    groupBy: [{ column: 'distance', bin: 250 }],
    measures: [
      { column: 'delay', of: 'mean' },
      { column: 'delay', of: 'min' },
      { column: 'time', of: 'sum' },
    ],
    chunkRows: 20_000,
  });
  assert.equal(result.rows, flights.length);
  const expected = new Map<number, typeof flights>();
  for (const flight of flights) {
    const bin = Math.floor(flight.distance / 250) * 250;
    const group = expected.get(bin) ?? [];
    group.push(flight);
    expected.set(bin, group);
  }
  assert.equal(rows.length, expected.size);
  for (const row of rows) {
    const group = expected.get(Number(row['distance'])) ?? [];
    const delays = group.map(({ delay }) => delay);
    assert.equal(Number(row['rows']), group.length);
    assert.equal(
      Number(row['min_delay']),
      delays.reduce((a, b) => Math.min(a, b)),
    );
    const mean = delays.reduce((a, b) => a + b, 0) / group.length;
    assert.ok(Math.abs(Number(row['mean_delay']) - mean) < 1e-9);
    const sum = group.reduce((total, { time }) => total + time, 0);
    assert.ok(Math.abs(Number(row['sum_time']) - sum) < 1e-6);
  }
});

test('four years of weather as CSV, by two columns', async () => {
  const weather = parse(await readFile(join(data, 'seattle-weather.csv')), { columns: true }) as {
    weather: string;
    temp_max: string;
  }[];
  const { rows } = await report({
    blob: 'seattle-weather.csv',
    groupBy: ['weather', { column: 'temp_max', bin: 10 }],
    measures: [{ column: 'temp_max', of: 'max' }],
    chunkRows: 100,
  });
  const total = rows.reduce((sum, row) => sum + Number(row['rows']), 0);
  assert.equal(total, weather.length);
  for (const row of rows) {
    const group = weather.filter(
      (day) =>
        day.weather === row['weather'] &&
        Math.floor(Number(day.temp_max) / 10) * 10 === Number(row['temp_max']),
    );
    assert.equal(Number(row['rows']), group.length);
    assert.equal(
      Number(row['max_temp_max']),
      Math.max(...group.map(({ temp_max }) => Number(temp_max))),
    );
  }
});

test('a report a row at a time is written a thousand times at most', async () => {
  const data = ['city', ...Array.from({ length: 20_000 }, (_, n) => `c${n % 3}`)].join('\n');
  const { id } = await client.submit('report', { data, groupBy: ['city'], chunkRows: 1 });
  const { result } = await client.ended(id, 30_000);
  assert.equal((result as { rows: number }).rows, 20_000);
});

test('an unknown column, an unknown blob and data that is neither CSV nor JSON fail at once', async () => {
  const failing = [
    [{ data: 'a,b\n1,2', groupBy: ['c'] }, /no column c: it has a, b/],
    [{ blob: 'nowhere.csv', groupBy: ['c'] }, /no blob 'nowhere.csv'/],
    [{ data: '[1, 2', groupBy: ['c'] }, /neither CSV/],
  ] as const;
  for (const [input, message] of failing) {
    const { id } = await client.submit('report', input);
    const ended = await client.ended(id);
    assert.equal(ended.state, 'failed');
    assert.equal(ended.attempt, 1);
    assert.match(ended.error?.message ?? '', message);
  }
});

test('a thumbnail is the image, smaller', async () => {
  const image = await sharp({
    create: { width: 640, height: 320, channels: 3, background: { r: 200, g: 30, b: 30 } },
  })
    .png()
    .toBuffer();
  const { id } = await client.submit('thumbnail', {
    image: image.toString('base64'),
    width: 64,
    format: 'webp',
  });
  const ended = await client.ended(id);
  assert.equal(ended.state, 'succeeded', JSON.stringify(ended.error));
  const file = await client.call(`/jobs/${id}/files/thumbnail.webp`);
  assert.equal(file.headers.get('content-type'), 'image/webp');
  const { width, height, format } = await sharp(Buffer.from(await file.arrayBuffer())).metadata();
  assert.deepEqual({ width, height, format }, { width: 64, height: 32, format: 'webp' });
  const broken = await client.submit('thumbnail', { image: 'bm8gaW1hZ2U=', width: 10 });
  assert.equal((await client.ended(broken.id)).attempt, 1);
});
