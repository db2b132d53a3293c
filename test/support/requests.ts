/** `$management` and `$cbs` by a plain client, on a connection of the test's. */
import assert from 'node:assert/strict';
import rhea, { type Connection, type EventContext, type Message, type Sender } from 'rhea';

export interface Answer {
  status: number;
  condition: string | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: bodies of answers are looked into
  body: any;
}

export interface Requests {
  /** For what is not asked by `ask`. */
  readonly sender: Sender;
  ask(operation: string, body: unknown, properties?: object): Promise<Answer>;
}

/** Opens both links to a node. */
export async function requestsTo(connection: Connection, node: string): Promise<Requests> {
  const answers = `answers-${Math.random()}`;
  const waiting = new Map<string, (answer: Answer) => void>();
  const receiver = connection.open_receiver({
    source: node,
    target: { address: answers },
  } as never);
  receiver.on('message', ({ message }: EventContext) => {
    const {
      statusCode,
      'status-code': code,
      errorCondition,
    } = message?.application_properties ?? {};
    waiting.get(String(message?.correlation_id))?.({
      status: Number(statusCode ?? code),
      condition: errorCondition,
      body: message?.body,
    });
  });
  const sender = connection.open_sender(node);
  await new Promise((resolve, reject) => {
    sender.once('sendable', resolve);
    sender.once('sender_error', ({ sender: of }: EventContext) => reject(of?.error));
  });
  let asked = 0;
  return {
    sender,
    ask(operation, body, properties = {}) {
      const id = `r${asked++}`;
      return new Promise((resolve) => {
        waiting.set(id, resolve);
        sender.send({
          body,
          message_id: id,
          reply_to: answers,
          application_properties: { operation, ...properties },
        } as Message);
      });
    },
  };
}

/** The condition by which a link is refused or ended. */
export const conditionOf = (link: unknown): Promise<string> =>
  new Promise((resolve) => {
    const { on, error } = link as {
      on: (name: string, heard: (context: EventContext) => void) => void;
      error?: { condition: string };
    };
    if (error) resolve(error.condition);
    for (const name of ['sender_error', 'receiver_error'])
      on.call(link, name, ({ sender, receiver }: EventContext) =>
        resolve(String(((sender ?? receiver)?.error as { condition?: string })?.condition)),
      );
  });

/** Messages that a link gets, until there are as many. */
export async function received(link: unknown, count: number): Promise<EventContext[]> {
  const all: EventContext[] = [];
  await new Promise<void>((resolve) => {
    (link as { on(name: string, heard: (context: EventContext) => void): void }).on(
      'message',
      (context) => {
        all.push(context);
        if (all.length === count) resolve();
      },
    );
  });
  assert.equal(all.length, count);
  return all;
}

export const { types } = rhea;
export const long = (n: number) => types.wrap_long(n);
export const uuids = (tokens: Buffer[]) => types.wrap_array(tokens, 0x98, undefined);
export const longs = (numbers: number[]) => types.wrap_array(numbers, 0x81, undefined);
