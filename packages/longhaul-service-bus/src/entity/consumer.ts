import type { ServiceBusFault } from './errors.ts';
import type { Message } from './message.ts';

/** Who takes messages. `room` is how many more it can take now. */
export interface Consumer {
  /**
   * Receive-and-delete: a message is gone when it is handed over; `kept()` of the queue then tells when
   * the store has forgotten it too.
   */
  readonly settlesFirst: boolean;
  room(): number;
  take(message: Message): void;
  /** The lock of this token is over, by time or because somebody settled it elsewhere. */
  forget?(token: string): void;
  /** The queue is no more, or gives nothing out any more. */
  gone?(fault: ServiceBusFault): void;
}

/** What a receiver says of a message it has. Properties are merged into the application properties. */
export type Settlement =
  | { kind: 'complete' }
  | { kind: 'abandon'; properties?: Record<string, unknown> }
  | { kind: 'defer'; properties?: Record<string, unknown> }
  | {
      kind: 'deadLetter';
      reason?: string | undefined;
      description?: string | undefined;
      properties?: Record<string, unknown>;
    };
