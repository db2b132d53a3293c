/** The AMQP conditions from which the SDKs derive their error code and whether to try again. */
export type Condition =
  | 'amqp:not-found'
  | 'amqp:not-allowed'
  | 'amqp:not-implemented'
  | 'amqp:decode-error'
  | 'amqp:internal-error'
  | 'amqp:unauthorized-access'
  | 'amqp:link:message-size-exceeded'
  | 'amqp:link:detach-forced'
  | 'amqp:resource-limit-exceeded'
  | 'amqp:transaction:rollback'
  | 'amqp:transaction:unknown-id'
  | 'com.microsoft:argument-error'
  | 'com.microsoft:argument-out-of-range'
  | 'com.microsoft:entity-already-exists'
  | 'com.microsoft:entity-disabled'
  | 'com.microsoft:message-lock-lost'
  | 'com.microsoft:message-not-found'
  | 'com.microsoft:session-lock-lost'
  | 'com.microsoft:server-busy'
  | 'com.microsoft:session-cannot-be-locked'
  | 'com.microsoft:timeout';

export class ServiceBusFault extends Error {
  readonly condition: Condition;
  constructor(condition: Condition, description: string, options?: ErrorOptions) {
    super(description, options);
    this.condition = condition;
  }
}

export const badArgument = (why: string) =>
  new ServiceBusFault('com.microsoft:argument-error', why);

export const lockLost = () =>
  new ServiceBusFault(
    'com.microsoft:message-lock-lost',
    'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.',
  );

export const sessionLockLost = (id: string) =>
  new ServiceBusFault(
    'com.microsoft:session-lock-lost',
    `The session lock on '${id}' has expired or was released. Accept the session again.`,
  );

export const messageNotFound = (why: string) =>
  new ServiceBusFault(
    'com.microsoft:message-not-found',
    `A message of these sequence numbers could not be found: ${why}`,
  );

export const entityDisabled = (name: string, status: string) =>
  new ServiceBusFault(
    'com.microsoft:entity-disabled',
    `Messaging entity '${name}' is currently disabled: its status is ${status}.`,
  );

export const entityRemoved = (name: string) =>
  new ServiceBusFault(
    'amqp:not-found',
    `The messaging entity '${name}' could not be found: it was deleted.`,
  );

export const entityExists = (path: string) =>
  new ServiceBusFault(
    'com.microsoft:entity-already-exists',
    `The messaging entity '${path}' already exists.`,
  );

export const sessionIdMissing = (queue: string) =>
  new ServiceBusFault(
    'amqp:not-allowed',
    `The SessionId was not set on a message, and it cannot be sent to the entity ${queue}. Entities that have session support enabled can only receive messages that have the SessionId set.`,
  );
