/** Transactions of one connection: declared and discharged over a link of their own (AMQP 1.0, part 4). */
import { randomBytes } from 'node:crypto';
import rhea, { type Delivery, type EventContext, type Receiver } from 'rhea';
import { ServiceBusFault } from '../entity/errors.ts';
import { Transaction } from '../entity/transaction.ts';
import type { Guard } from '../guarded.ts';
import type { BrokerClock } from '../time.ts';
import { decodeValue, endOfValue, itemsOf } from './encoded.ts';
import { toAmqpError } from './faults.ts';
import { descriptorAt } from './kinds.ts';
import {
  accepted,
  coordinatorOf,
  type ReceiverInternals,
  rejected,
  takeWhole,
  transactionIdOf,
  update,
} from './rhea-internals.ts';
import { checkedSections } from './sections.ts';

const { types } = rhea;

const code = { declare: 0x31, discharge: 0x32, declared: 0x33, transactional: 0x34 } as const;

// The service rolls back by itself what takes longer (Learn: transaction processing).
const longestMs = 120_000;
const mostOpen = 100;
const mostBytes = 4096;

interface Open {
  transaction: Transaction;
  cancel(): void;
}

export interface CoordinatorOptions {
  clock: BrokerClock;
  guard: Guard;
}

export class Coordinator {
  readonly #open = new Map<string, Open>();
  readonly #options: CoordinatorOptions;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
  }

  serve(receiver: Receiver): void {
    const link = receiver as unknown as ReceiverInternals;
    link.local.attach['target'] = coordinatorOf(receiver);
    const answer = this.#options.guard(update);
    receiver.on('message', (context: EventContext) => {
      const { delivery } = context;
      this.#answer(context).then(
        (state) => answer(delivery, state),
        (fault) => answer(delivery, rejected(toAmqpError(fault))),
      );
    });
  }

  /** The transaction that a delivery names, if it names one. @throws ServiceBusFault */
  of(delivery: Delivery | undefined): Transaction | undefined {
    const id = transactionIdOf(delivery);
    return id === undefined ? undefined : this.#get(id).transaction;
  }

  close(): void {
    for (const id of this.#open.keys()) this.#drop(id);
  }

  async #answer(context: EventContext): Promise<unknown> {
    const raw = takeWhole(context, mostBytes);
    const { kind, fields } = requestOf(raw);
    if (kind === code.declare) return this.#declare();
    if (kind !== code.discharge)
      throw new ServiceBusFault('amqp:not-implemented', 'Neither a declare nor a discharge.');
    const [id, failed] = fields;
    await this.#discharge(Buffer.isBuffer(id) ? id.toString('hex') : '', failed === true);
    return accepted();
  }

  #declare(): unknown {
    if (this.#open.size >= mostOpen)
      throw new ServiceBusFault('amqp:not-allowed', `More than ${mostOpen} transactions are open.`);
    const bytes = randomBytes(16);
    const id = bytes.toString('hex');
    const cancel = this.#options.clock.after(longestMs, () => this.#drop(id));
    this.#open.set(id, { transaction: new Transaction(), cancel });
    return types.wrap_described(types.wrap_list([types.wrap_binary(bytes)]), code.declared);
  }

  async #discharge(id: string, failed: boolean): Promise<void> {
    const { transaction } = this.#get(id);
    this.#drop(id);
    if (failed) return;
    try {
      transaction.commit();
    } catch (fault) {
      throw rolledBack(fault);
    }
    await transaction.kept();
  }

  #get(id: string): Open {
    const found = this.#open.get(id);
    if (found) return found;
    throw new ServiceBusFault(
      'amqp:transaction:unknown-id',
      'There is no such transaction: it was discharged, or took too long.',
    );
  }

  #drop(id: string): void {
    this.#open.get(id)?.cancel();
    this.#open.delete(id);
  }
}

const rolledBack = (cause: unknown) =>
  new ServiceBusFault('amqp:transaction:rollback', (cause as Error).message, { cause });

/** The answer to what was taken into a transaction. */
export function provisionally(id: string, outcome: unknown): unknown {
  const bytes = types.wrap_binary(Buffer.from(id, 'hex'));
  return types.wrap_described(types.wrap_list([bytes, outcome]), code.transactional);
}

/** What is asked for is the described value in the body. */
function requestOf(raw: Buffer): { kind: unknown; fields: unknown[] } {
  const [body] = checkedSections(raw).slice(-1);
  if (!body || raw[body.value] !== 0) return { kind: undefined, fields: [] };
  const list = endOfValue(raw, body.value + 1);
  const kind = descriptorAt(raw, body.value + 1, list);
  const names: Record<string, number> = {
    'amqp:declare:list': code.declare,
    'amqp:discharge:list': code.discharge,
  };
  return { kind: names[String(kind)] ?? kind, fields: itemsOf(raw, list).map(decodeValue) };
}
