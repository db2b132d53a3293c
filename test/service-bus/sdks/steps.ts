/** What a scenario may ask of a client, whatever its language: the drivers know these steps and no others. */
import type { QueueDescription, TopicDescription } from '#service-bus/entity/settings.js';

export type Plain = string | number | boolean;

/** What a message says. One of the three bodies. */
interface Content {
  body?: string;
  value?: Plain;
  sequence?: Plain[];
  id?: string;
  session?: string;
  subject?: string;
  correlationId?: string;
  properties?: Record<string, Plain>;
}

/** A message as it is sent. */
export interface Sent extends Content {
  ttlMs?: number;
}

/** What is looked at of a message that came. `body` is its text. */
export interface Seen extends Content {
  /** Before the one by which it came. */
  deliveries?: number;
  reason?: string;
  description?: string;
}

export interface Taken {
  /** Receive-and-delete. */
  deletes?: true;
  /** How many come before they are asked for. */
  prefetch?: number;
  /** Its dead letters, or those that could not be forwarded. */
  sub?: 'dead' | 'transfer';
  settle?: 'complete' | 'abandon' | 'defer' | 'dead';
  /** Properties to change with the settlement. */
  changes?: Record<string, Plain>;
  expect?: Seen[];
  /** Keeps the sequence numbers under a name. */
  keep?: string;
}

export interface Rule {
  name: string;
  sql?: string;
  correlation?: { subject?: string; correlationId?: string; properties?: Record<string, Plain> };
  action?: string;
}

/** How an error is called: in the names of .NET's and Java's ServiceBusFailureReason. */
export type Reason =
  | 'MessageLockLost'
  | 'MessageNotFound'
  | 'MessageSizeExceeded'
  | 'MessagingEntityDisabled'
  | 'MessagingEntityNotFound'
  | 'QuotaExceeded'
  | 'SessionCannotBeLocked'
  | 'SessionLockLost';

/** Of `outlast`: its receiver waits until the lock is over, and then settles. */
export type Step =
  | { do: 'send'; to: string; messages: Sent[]; batch?: true }
  | { do: 'large'; to: string; bytes: number }
  // A batch of messages of so many bytes, as many as go in.
  | { do: 'fill'; to: string; bytes: number }
  | { do: 'wait'; ms: number }
  | { do: 'schedule'; to: string; message: Sent; afterMs: number; keep: string }
  | { do: 'cancel'; to: string; kept: string }
  | ({ do: 'receive'; from: string; count: number } & Taken)
  | { do: 'outlast'; from: string }
  | { do: 'renewed'; from: string }
  | { do: 'deferred'; from: string; kept: string; expect?: Seen[] }
  | ({ do: 'peek'; from: string } & Peeked)
  | { do: 'empty'; from: string; sub?: 'dead' | 'transfer' }
  | { do: 'session'; from: string; id?: string; steps: (InSession | Step)[] }
  | { do: 'sessions'; of: string; since?: string; expect: string[] }
  | { do: 'mark'; keep: string }
  | { do: 'rules'; of: string; add?: Rule; remove?: string; expect?: string[] }
  | { do: 'transaction'; from: string; settles: number; sends: Put[]; ends: 'commit' | 'rollback' }
  | { do: 'purge'; from: string; count: number; expect: number }
  | { do: 'settle late'; from: string }
  | { do: 'administer'; what: Administered; name: string; with?: Asked }
  | { do: 'error'; step: Step; reason?: Reason }
  | { do: 'restart' };

export interface Put {
  to: string;
  messages: Sent[];
}

export interface Peeked {
  count: number;
  sub?: 'dead';
  /** From the number kept under this name on. */
  start?: string;
  omitsBodies?: true;
  expect: Seen[];
}

/** In a session that is held. */
export type InSession =
  | ({ do: 'receive'; count: number } & Taken)
  | ({ do: 'peek' } & Peeked)
  | { do: 'deferred'; kept: string; expect?: Seen[] }
  | { do: 'set'; state: string | null }
  | { do: 'get'; state: string | null }
  | { do: 'renew' }
  | { do: 'id'; is: string }
  // Until its lock is over; then its state is asked for, or a message settled that was received before.
  | { do: 'outlast'; settles?: true };

export type Administered =
  | `${'create' | 'get' | 'update' | 'list' | 'count' | 'delete'} queue`
  | 'create topic'
  | 'create subscription';

export interface Asked {
  lockSeconds?: number;
  deliveries?: number;
  /** After which it is deleted, when nobody uses it. */
  idleMinutes?: number;
  active?: number;
  subscription?: string;
  rule?: Rule;
}

export const languages = ['javascript', 'python', 'java', 'go', 'plain'] as const;
export type Language = (typeof languages)[number];
export const ways = ['emulator', 'tls', 'websockets'] as const;
export type Way = (typeof ways)[number];

export interface Scenario {
  name: string;
  /** Of its own: no two scenarios share one. Names of topics begin with `topic`. */
  queues?: QueueDescription[];
  topics?: TopicDescription[];
  /** Whose SDK cannot do it, or tells its user nothing, and in which way. Default: all can. */
  without?: (Language | `${Language} ${Way}`)[];
  steps: Step[];
}

export const bodies = (...all: string[]): { body: string }[] => all.map((body) => ({ body }));

export const send = (to: string, ...messages: Sent[]): Step => ({ do: 'send', to, messages });

/** `expect`: one message for each, of which at least this is so. */
export const receive = (from: string, expect: Seen[], more: Taken = {}): Step => ({
  ...{ do: 'receive', from, count: expect.length, expect },
  ...more,
});

export const empty = (from: string): Step => ({ do: 'empty', from });
export const fails = (step: Step, reason?: Reason): Step => ({
  do: 'error',
  step,
  ...(reason ? { reason } : {}),
});
export const session = (
  from: string,
  id: string | undefined,
  steps: (InSession | Step)[],
): Step => ({
  ...{ do: 'session', from, steps },
  ...(id === undefined ? {} : { id }),
});
/** In a session. */
export const take = (expect: Seen[], more: Taken = {}): InSession => ({
  ...{ do: 'receive', count: expect.length, expect },
  ...more,
});
