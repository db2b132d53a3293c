import { randomUUID } from 'node:crypto';
import type { Ascending } from './ascending.ts';
import type { ServiceBusFault } from './errors.ts';
import type { Message } from './message.ts';
import { Order } from './order.ts';

/** Whoever holds a session: told when a message of it is ready, and when the lock is lost. */
export interface SessionHolder {
  ready(): void;
  /** With why, if not for want of renewal. */
  lost(fault?: ServiceBusFault): void;
}

/** Whether a holder is the one that a request speaks for. */
export type Claim = (holder: SessionHolder) => boolean;

export interface SessionLock {
  token: string;
  until: number;
  /** The same by the time that passes. */
  ends: number;
  holder: SessionHolder;
}

/** One session of a queue: its messages in order, its state, its one receiver. */
export class Session {
  readonly id: string;
  readonly order = new Order();
  state: Buffer | undefined;
  /** When the state was set; of one that the disk kept, when it was read. */
  stateAt = 0;
  lock: SessionLock | undefined;
  /** Handed out and not settled. */
  readonly locked = new Set<Message>();
  /** Of the session's messages that the queue still has, in any state. */
  readonly sequences: Ascending;

  constructor(id: string, sequences: Ascending) {
    this.id = id;
    this.sequences = sequences;
  }

  grant(holder: SessionHolder, times: Pick<SessionLock, 'until' | 'ends'>): SessionLock {
    this.lock = { token: randomUUID(), ...times, holder };
    return this.lock;
  }

  get isForgettable(): boolean {
    return this.sequences.size === 0 && this.state === undefined && this.lock === undefined;
  }
}
