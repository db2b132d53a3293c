/**
 * Table writes of one partition, gathered into entity-group transactions.
 *
 * While one transaction is under way the next fills up, so a busy app writes a hundred entities at a
 * time and a quiet one waits for nobody. Each caller learns of its own write only; one that fails
 * leaves the transaction, and the others go again.
 */
import type { TableClient, TransactionAction } from '@azure/data-tables';
import { ConflictError } from '../errors.ts';
import { isChanged, isMissing, isThere } from './status.ts';

export interface Entity {
  partitionKey: string;
  rowKey: string;
  [column: string]: unknown;
}

/** Changes that stand or fall together. */
interface Unit {
  actions: readonly TransactionAction[];
  rows: readonly string[];
  size: number;
  resolve(etags: string[]): void;
  reject(error: unknown): void;
}

// Learn, "Performing entity group transactions": 100 entities, 4 MiB, each entity once.
const maxEntities = 100;
const maxBytes = 3 * 1024 * 1024;

export class GroupCommit {
  readonly #table: TableClient;
  readonly #waiting = new Map<string, Unit[]>();
  readonly #busy = new Set<string>();

  constructor(table: TableClient) {
    this.#table = table;
  }

  /**
   * Inserts the entity, or replaces the one that has `etag`; resolves with the new ETag when durable.
   * @throws ConflictError when the entity exists, or has another ETag.
   */
  async write(entity: Entity, etag: string | undefined): Promise<string> {
    const action: TransactionAction =
      etag === undefined ? ['create', entity] : ['update', entity, 'Replace', { etag }];
    const [written = ''] = await this.transact([action]);
    return written;
  }

  /** Changes of one partition that stand or fall together. @throws ConflictError */
  transact(actions: readonly TransactionAction[]): Promise<string[]> {
    return new Promise((resolve, reject) => {
      const entities = actions.map(([, entity]) => entity as Entity);
      const partition = entities[0]?.partitionKey ?? '';
      const rows = entities.map(({ rowKey }) => rowKey);
      const size = JSON.stringify(entities).length * 2;
      const waiting = this.#waiting.get(partition) ?? [];
      waiting.push({ actions, rows, size, resolve, reject });
      this.#waiting.set(partition, waiting);
      if (!this.#busy.has(partition)) void this.#work(partition);
    });
  }

  async #work(partition: string): Promise<void> {
    this.#busy.add(partition);
    // One turn of the loop, so that what was submitted together goes together.
    await new Promise((resolve) => setImmediate(resolve));
    for (let units = this.#next(partition); units.length > 0; units = this.#next(partition))
      await this.#commit(units);
    this.#busy.delete(partition);
    if (this.#waiting.get(partition)?.length === 0) this.#waiting.delete(partition);
  }

  /** As many as fit, no entity twice, in the order in which they came. */
  #next(partition: string): Unit[] {
    const waiting = this.#waiting.get(partition) ?? [];
    const rows = new Set<string>();
    let bytes = 0;
    let count = 0;
    for (const unit of waiting) {
      bytes += unit.size;
      const full = rows.size + unit.rows.length > maxEntities || bytes > maxBytes;
      if (unit.rows.some((row) => rows.has(row)) || (count > 0 && full)) break;
      for (const row of unit.rows) rows.add(row);
      count++;
    }
    return waiting.splice(0, count);
  }

  async #commit(units: Unit[]): Promise<void> {
    const [first] = units;
    if (!first) return;
    if (units.length === 1) {
      await this.#alone(first);
      return;
    }
    try {
      const { subResponses } = await this.#table.submitTransaction(
        units.flatMap(({ actions }) => actions),
      );
      let at = 0;
      for (const { actions, resolve } of units) {
        resolve(subResponses.slice(at, at + actions.length).map(({ etag }) => etag ?? ''));
        at += actions.length;
      }
    } catch (error) {
      const failed = unitAt(units, failedIndex(error) ?? -1);
      if (failed) {
        failed.reject(asConflict(failed, error));
        await this.#commit(units.filter((unit) => unit !== failed));
      } else await Promise.all(units.map((unit) => this.#alone(unit)));
    }
  }

  async #alone(unit: Unit): Promise<void> {
    try {
      unit.resolve(await this.#submit(unit.actions));
    } catch (error) {
      unit.reject(asConflict(unit, error));
    }
  }

  /** A single change needs no transaction. */
  async #submit(actions: readonly TransactionAction[]): Promise<string[]> {
    const [[kind, entity, , options] = []] = actions as [
      string,
      Entity,
      string,
      { etag: string },
    ][];
    if (actions.length === 1 && entity) {
      if (kind === 'create') return [(await this.#table.createEntity(entity)).etag ?? ''];
      if (kind === 'update')
        return [(await this.#table.updateEntity(entity, 'Replace', options ?? {})).etag ?? ''];
    }
    const { subResponses } = await this.#table.submitTransaction([...actions]);
    return subResponses.map(({ etag }) => etag ?? '');
  }
}

function unitAt(units: readonly Unit[], index: number): Unit | undefined {
  let from = 0;
  for (const unit of units) {
    if (index >= from && index < from + unit.actions.length) return unit;
    from += unit.actions.length;
  }
  return undefined;
}

/** The service puts the index of the entity that failed before its message: `3:The specified …`. */
function failedIndex(error: unknown): number | undefined {
  const { details, message } = error as {
    details?: { odataError?: { message?: { value?: string } } };
    message?: string;
  };
  const text = details?.odataError?.message?.value ?? message ?? '';
  const index = /^(\d+):/.exec(text)?.[1];
  return index === undefined ? undefined : Number(index);
}

function asConflict({ rows }: Unit, error: unknown): unknown {
  // In each case somebody else wrote.
  return isMissing(error) || isThere(error) || isChanged(error)
    ? new ConflictError(rows.join(', '), error)
    : error;
}
