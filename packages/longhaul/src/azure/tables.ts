/** What the tables have in common. */
import type { TableClient, TransactionAction } from '@azure/data-tables';
import { BadRequestError } from '../errors.ts';
import { isMalformed, isMissing } from './status.ts';

// A request may last 230 s in Azure; whoever asks wants to hear sooner that there is more to look through.
const lookForMs = 2_000;

interface Looking {
  /** All columns, if not these. */
  select?: string[];
  now?: () => number;
}

/**
 * The first page of a list that has anything in it, and where to go on. After two seconds without any it
 * is an empty page: a filter that no key serves looks at every row.
 */
export async function pageOf(
  table: Pick<TableClient, 'listEntities'>,
  filter: string,
  limit: number,
  cursor: string | undefined,
  { select, now = performance.now.bind(performance) }: Looking = {},
): Promise<{ entities: Record<string, unknown>[]; cursor: string | undefined }> {
  if (cursor !== undefined && !isCursor(cursor)) throw badCursor();
  const until = now() + lookForMs;
  const pages = table
    .listEntities({ queryOptions: { filter, ...(select ? { select } : {}) } })
    .byPage({ maxPageSize: limit, ...(cursor ? { continuationToken: cursor } : {}) });
  for await (const page of readable(pages, cursor)) {
    // A page may be empty and still not the last: the service scanned its share in vain.
    if (page.length === 0 && page.continuationToken && now() < until) continue;
    return { entities: page, cursor: page.continuationToken };
  }
  return { entities: [], cursor: undefined };
}

/** So many of a list, or all that there are. */
export async function firstOf(
  table: TableClient,
  filter: string,
  limit: number,
  select: string[],
): Promise<Record<string, unknown>[]> {
  const found: Record<string, unknown>[] = [];
  const pages = table
    .listEntities({ queryOptions: { filter, select } })
    .byPage({ maxPageSize: limit });
  for await (const page of pages) {
    found.push(...page);
    if (found.length >= limit) break;
  }
  return found.slice(0, limit);
}

/** As the SDK makes them: the names of a partition and a row, as JSON in base64. */
function isCursor(text: string): boolean {
  try {
    const read = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as unknown;
    const isNamed = typeof read === 'object' && read !== null && !Array.isArray(read);
    return isNamed && Object.values(read).every((one) => typeof one === 'string' && !odd.test(one));
  } catch {
    return false;
  }
}

// No key of ours has them.
const odd = /[\p{Cc}\p{Cs}]/u;

export const badCursor = (cause?: unknown) =>
  new BadRequestError(
    'The cursor cannot be read.',
    [{ pointer: '/cursor', message: 'is not one that a page before gave' }],
    { cause },
  );

/** The pages, with an error that says so when it is the cursor that cannot be read. */
async function* readable<T>(pages: AsyncIterable<T>, cursor: string | undefined) {
  try {
    yield* pages;
  } catch (cause) {
    // The SDK reads it as JSON, and takes what it gets.
    const isUnread = cause instanceof SyntaxError || cause instanceof TypeError;
    if (cursor === undefined || !(isUnread || isMalformed(cause))) throw cause;
    throw badCursor(cause);
  }
}

// Learn, "Performing entity group transactions".
const maxEntities = 100;

/** Changes of one partition, a hundred at a time; one that is gone already does not hold up the rest. */
export async function inTransactions(
  table: TableClient,
  actions: readonly TransactionAction[],
): Promise<void> {
  for (let from = 0; from < actions.length; from += maxEntities) {
    const some = actions.slice(from, from + maxEntities);
    try {
      await table.submitTransaction([...some]);
    } catch (error) {
      if (!isMissing(error)) throw error;
      for (const one of some) await alone(table, one);
    }
  }
}

async function alone(table: TableClient, action: TransactionAction): Promise<void> {
  try {
    await table.submitTransaction([action]);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}
