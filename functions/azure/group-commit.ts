/**
 * Table writes of one partition, gathered into entity-group transactions.
 *
 * While one transaction is under way the next fills up, so a busy app writes a hundred entities at a
 * time and a quiet one waits for nobody. Each caller learns of its own write only; one that fails
 * leaves the transaction, and the others go again.
 */
import type { TableClient, TransactionAction } from '@azure/data-tables';
import { ConflictError } from '../errors.ts';

export interface Entity {
  partitionKey: string;
  rowKey: string;
  [column: string]: unknown;
}

interface Write {
  entity: Entity;
  etag: string | undefined;
  size: number;
  resolve(etag: string): void;
  reject(error: unknown): void;
}

// Learn, "Performing entity group transactions": 100 entities, 4 MiB, each entity once.
const maxEntities = 100;
const maxBytes = 3 * 1024 * 1024;

export class GroupCommit {
  readonly #table: TableClient;
  readonly #waiting = new Map<string, Write[]>();
  readonly #busy = new Set<string>();

  constructor(table: TableClient) {
    this.#table = table;
  }

  /**
   * Inserts the entity, or replaces the one that has `etag`; resolves with the new ETag when durable.
   * @throws ConflictError when the entity exists, or has another ETag.
   */
  write(entity: Entity, etag: string | undefined): Promise<string> {
    return new Promise((resolve, reject) => {
      const { partitionKey } = entity;
      const size = JSON.stringify(entity).length * 2;
      const waiting = this.#waiting.get(partitionKey) ?? [];
      waiting.push({ entity, etag, size, resolve, reject });
      this.#waiting.set(partitionKey, waiting);
      if (!this.#busy.has(partitionKey)) void this.#work(partitionKey);
    });
  }

  async #work(partition: string): Promise<void> {
    this.#busy.add(partition);
    // One turn of the loop, so that what was submitted together goes together.
    await new Promise((resolve) => setImmediate(resolve));
    for (let writes = this.#next(partition); writes.length > 0; writes = this.#next(partition))
      await this.#commit(writes);
    this.#busy.delete(partition);
    if (this.#waiting.get(partition)?.length === 0) this.#waiting.delete(partition);
  }

  /** As many as fit, no entity twice, in the order in which they came. */
  #next(partition: string): Write[] {
    const waiting = this.#waiting.get(partition) ?? [];
    const rows = new Set<string>();
    let bytes = 0;
    let count = 0;
    for (const { entity, size } of waiting) {
      bytes += size;
      if (rows.has(entity.rowKey) || count >= maxEntities || (count > 0 && bytes > maxBytes)) break;
      rows.add(entity.rowKey);
      count++;
    }
    return waiting.splice(0, count);
  }

  async #commit(writes: Write[]): Promise<void> {
    const [first] = writes;
    if (!first) return;
    if (writes.length === 1) {
      await this.#single(first);
      return;
    }
    try {
      const { subResponses } = await this.#table.submitTransaction(writes.map(toAction));
      for (const [i, write] of writes.entries()) write.resolve(subResponses[i]?.etag ?? '');
    } catch (error) {
      const failed = writes[failedIndex(error) ?? -1];
      if (failed) {
        failed.reject(asConflict(failed, error));
        await this.#commit(writes.filter((write) => write !== failed));
      } else await Promise.all(writes.map((write) => this.#single(write)));
    }
  }

  async #single(write: Write): Promise<void> {
    const { entity, etag } = write;
    try {
      const { etag: written } =
        etag === undefined
          ? await this.#table.createEntity(entity)
          : await this.#table.updateEntity(entity, 'Replace', { etag });
      write.resolve(written ?? '');
    } catch (error) {
      write.reject(asConflict(write, error));
    }
  }
}

const toAction = ({ entity, etag }: Write): TransactionAction =>
  etag === undefined ? ['create', entity] : ['update', entity, 'Replace', { etag }];

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

function asConflict({ entity }: Write, error: unknown): unknown {
  const { statusCode } = error as { statusCode?: number };
  // 409 exists already, 412 another ETag, 404 gone: in each case somebody else wrote.
  return statusCode !== undefined && [404, 409, 412].includes(statusCode)
    ? new ConflictError(entity.partitionKey + entity.rowKey, error)
    : error;
}
