import { randomUUID } from 'node:crypto';
import type { Message } from './message.ts';
import { Order } from './order.ts';

/** Whoever holds a session: told when a message of it is ready, and when the lock is lost. */
export interface SessionHolder {
  ready(): void;
  lost(): void;
}

export interface SessionLock {
  token: string;
  until: number;
  holder: SessionHolder;
}

/** One session of a queue: its messages in order, its state, its one receiver. */
export class Session {
  readonly id: string;
  readonly order = new Order();
  state: Buffer | undefined;
  lock: SessionLock | undefined;
  /** Handed out and not settled. */
  readonly locked = new Set<Message>();
  /** How many messages of the session the queue still has, in any state. */
  messages = 0;

  constructor(id: string) {
    this.id = id;
  }

  grant(holder: SessionHolder, until: number): SessionLock {
    this.lock = { token: randomUUID(), until, holder };
    return this.lock;
  }

  get isForgettable(): boolean {
    return this.messages === 0 && this.state === undefined && this.lock === undefined;
  }
}
