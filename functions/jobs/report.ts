/**
 * A report over a data set: group, aggregate, write a CSV.
 *
 * Worth copying from: the loop works in chunks and saves its state after each (`job.checkpoint`), so
 * that a killed worker's job goes on at the chunk where it was; what cannot get better by trying
 * again is a `NonRetryableError`.
 */
import { parse } from 'csv-parse/sync';
import { stringify } from 'csv-stringify/sync';
import { defineJob, type Job, NonRetryableError } from 'longhaul';
import { z } from 'zod';

const column = z.string().min(1).max(256);

const input = z
  .strictObject({
    /** CSV text with a header line, or an array of objects … */
    data: z
      .union([z.string().min(1), z.array(z.record(z.string(), z.unknown())).min(1)])
      .optional(),
    /** … or the name of a blob in the container `inbox`: CSV, or JSON with an array of objects. */
    blob: z.string().min(1).max(1024).optional(),
    /** Columns whose values make the groups; `bin` groups numbers by ranges of that width. */
    groupBy: z
      .array(z.union([column, z.strictObject({ column, bin: z.number().positive() })]))
      .min(1)
      .max(20),
    measures: z
      .array(z.strictObject({ column, of: z.enum(['sum', 'mean', 'min', 'max', 'count']) }))
      .max(100)
      .default([]),
    /** Rows between two checkpoints; more where there would be thousands of them. */
    chunkRows: z.int().min(1).max(100_000).default(5_000),
  })
  .refine(({ data, blob }) => (data === undefined) !== (blob === undefined), {
    path: ['data'],
    error: 'give either data or blob',
  });

type Input = z.output<typeof input>;
type Row = Record<string, unknown>;

/** Running figures of one measure in one group. */
interface Figures {
  count: number;
  sum: number;
  min: number;
  max: number;
}

interface Group {
  values: (string | number)[];
  rows: number;
  figures: Figures[];
}

const table = z.array(z.record(z.string(), z.union([z.string(), z.number(), z.null()])));

// Each is written: a row at a time a large report would be writes and nothing else.
const maxCheckpoints = 1_000;

export const report = defineJob({
  type: 'report',
  input,
  output: z.object({
    rows: z.number(),
    groups: z.number(),
    file: z.object({ name: z.string(), bytes: z.number() }),
    /** The first rows of the report, for a quick look. */
    head: table,
  }),
  timeout: '10m',
  attempts: 3,

  async run(asked, job) {
    const rows = await readRows(asked, job);
    checkColumns(asked, rows);
    const chunk = Math.max(asked.chunkRows, Math.ceil(rows.length / maxCheckpoints));
    const groups = await job.checkpoint(
      'aggregate',
      { at: 0, groups: [] as Group[] },
      async (from, save) => {
        const byValues = new Map(from.groups.map((group) => [JSON.stringify(group.values), group]));
        for (let at = from.at; at < rows.length; at += chunk) {
          for (const row of rows.slice(at, at + chunk)) add(asked, byValues, row);
          const done = Math.min(at + chunk, rows.length);
          await job.progress({ done, of: rows.length, note: `groups: ${byValues.size}` });
          await save({ at: done, groups: [...byValues.values()] });
        }
        return [...byValues.values()];
      },
    );
    const report = groups.sort(byGroupValues).map((group) => toRow(asked, group));
    const file = await job.files.write(
      'report.csv',
      stringify(report, { header: true }),
      'text/csv',
    );
    return { rows: rows.length, groups: groups.length, file, head: report.slice(0, 50) };
  },
});

async function readRows({ data, blob }: Input, job: Job): Promise<Row[]> {
  if (Array.isArray(data)) return data;
  const text = data ?? (await job.files.readInbox(blob ?? '')).toString('utf8');
  try {
    const rows: unknown = /^\s*\[/.test(text)
      ? JSON.parse(text)
      : parse(text, { columns: true, skip_empty_lines: true, trim: true, bom: true });
    return z.array(z.record(z.string(), z.unknown())).min(1).parse(rows);
  } catch (cause) {
    throw new NonRetryableError(
      `The data is neither CSV with a header line nor a JSON array of objects: ${(cause as Error).message}`,
      { cause },
    );
  }
}

const groupColumn = (by: Input['groupBy'][number]) => (typeof by === 'string' ? by : by.column);

function checkColumns({ groupBy, measures }: Input, rows: Row[]): void {
  const known = Object.keys(rows[0] ?? {});
  const asked = [...groupBy.map(groupColumn), ...measures.map(({ column }) => column)];
  const unknown = asked.filter((name) => !known.includes(name));
  if (unknown.length > 0)
    throw new NonRetryableError(
      `The data has no column ${unknown.join(', ')}: it has ${known.join(', ')}.`,
    );
}

/** CSV gives text only; an empty cell is no number. */
function toNumber(value: unknown): number | undefined {
  if (value === null || value === undefined || value === '') return undefined;
  const number = Number(value);
  return Number.isFinite(number) ? number : undefined;
}

function add({ groupBy, measures }: Input, groups: Map<string, Group>, row: Row): void {
  const values = groupBy.map((by) => {
    if (typeof by === 'string') return String(row[by] ?? '');
    const number = toNumber(row[by.column]);
    return number === undefined ? '' : Math.floor(number / by.bin) * by.bin;
  });
  const key = JSON.stringify(values);
  let group = groups.get(key);
  if (!group) {
    group = {
      values,
      rows: 0,
      figures: measures.map(() => ({ count: 0, sum: 0, min: 0, max: 0 })),
    };
    groups.set(key, group);
  }
  group.rows++;
  for (const [i, { column }] of measures.entries()) {
    const figures = group.figures[i];
    const value = toNumber(row[column]);
    if (!figures || value === undefined) continue;
    figures.min = figures.count === 0 ? value : Math.min(figures.min, value);
    figures.max = figures.count === 0 ? value : Math.max(figures.max, value);
    figures.count++;
    figures.sum += value;
  }
}

function byGroupValues(a: Group, b: Group): number {
  for (const [i, value] of a.values.entries()) {
    const other = b.values[i] ?? '';
    const order =
      typeof value === 'number' && typeof other === 'number'
        ? value - other
        : String(value).localeCompare(String(other), 'en');
    if (order !== 0) return order;
  }
  return 0;
}

function toRow({ groupBy, measures }: Input, { values, rows, figures }: Group) {
  const row: Record<string, string | number | null> = {};
  for (const [i, by] of groupBy.entries()) row[groupColumn(by)] = values[i] ?? '';
  row['rows'] = rows;
  for (const [i, { column, of }] of measures.entries()) {
    const figure = figures[i];
    row[`${of}_${column}`] = figure ? figureOf(figure, of) : null;
  }
  return row;
}

function figureOf(
  { count, sum, min, max }: Figures,
  of: Input['measures'][number]['of'],
): number | null {
  if (of === 'count') return count;
  if (count === 0) return null;
  return { sum, mean: sum / count, min, max }[of];
}
