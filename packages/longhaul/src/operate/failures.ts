/** Failed jobs by what failed in them: the same fault of a thousand jobs is one line. */
import type { JobRecord } from '../model/job-record.ts';
import type { RecordFilter } from '../ports.ts';
import type { Working } from '../run/attempt.ts';

export interface FailureGroup {
  type: string;
  /** The error's name, and its code where it has one of its own. */
  error: string;
  /** The first line of its stack that is of the app; empty where there is none. */
  at: string;
  /** Of the newest. */
  message: string;
  count: number;
  firstAt: string;
  lastAt: string;
  /** The newest of them. */
  job: string;
}

const lookForMs = 2_000;
const pageSize = 1_000;

/** `isWhole` is false when two seconds were too short to see all; then those since `searchedTo` count. */
export async function groupFailures(
  app: Pick<Working, 'records' | 'clock'>,
  filter: Pick<RecordFilter, 'type' | 'from' | 'to'>,
): Promise<{ groups: FailureGroup[]; isWhole: boolean; searchedTo: string | undefined }> {
  const groups = new Map<string, FailureGroup>();
  const until = app.clock.now().getTime() + lookForMs;
  let searchedTo: string | undefined;
  for (let cursor: string | undefined; ; ) {
    const page = await app.records.list({ ...filter, state: 'failed' }, pageSize, cursor);
    for (const record of page.records) count(groups, record);
    searchedTo = page.records.at(-1)?.createdAt ?? searchedTo;
    cursor = page.cursor;
    if (!cursor || app.clock.now().getTime() >= until)
      return { groups: sorted(groups), isWhole: !cursor, searchedTo };
  }
}

function count(groups: Map<string, FailureGroup>, record: JobRecord): void {
  const { type, id, error, finishedAt = record.createdAt } = record;
  if (!error) return;
  const name = error.code ? `${error.name} (${error.code})` : error.name;
  const at = ownFrameOf(error.stack ?? '');
  const key = JSON.stringify([type, name, at]);
  const known = groups.get(key);
  const times = [finishedAt, ...(known ? [known.firstAt, known.lastAt] : [])].sort();
  const isNewest = times.at(-1) === finishedAt;
  const newest = isNewest ? { message: error.message.slice(0, 300), job: id } : {};
  groups.set(key, {
    ...{ type, error: name, at, message: '', job: id, ...known, ...newest },
    count: (known?.count ?? 0) + 1,
    firstAt: times[0] ?? finishedAt,
    lastAt: times.at(-1) ?? finishedAt,
  });
}

// Where a library or Node threw says less than which line of the app called it.
const foreign = /node:|node_modules/;

/** `export.js:12 in readOrders`: without folders, which differ between machines. */
export function ownFrameOf(stack: string): string {
  const frame = stack.split('\n').find((line) => /^\s*at /.test(line) && !foreign.test(line));
  const [, name = '', file = '', line = ''] =
    /^\s*at (?:async )?(?:(.+?) \()?.*?([^/\\(]+?):(\d+):\d+\)?$/.exec(frame ?? '') ?? [];
  if (file === '') return '';
  return name ? `${file}:${line} in ${name}` : `${file}:${line}`;
}

const sorted = (groups: ReadonlyMap<string, FailureGroup>): FailureGroup[] =>
  [...groups.values()].sort((a, b) => b.count - a.count);
