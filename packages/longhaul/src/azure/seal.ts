/**
 * Shows which messages the app itself sent: on the wire their property `longhaul` is a signature by a
 * key that only the app can read. One without it, or with one that was made up or copied, is a
 * stranger's, of which `fromMessage` believes less.
 *
 * The broker drops the second message of an id, whoever sent the first. So an id that follows from a
 * job's has a tag by that key behind it on the wire: nobody else can send it before the app does.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { isId } from '../model/id.ts';
import { type IncomingMessage, type OutgoingMessage, ownProperties } from '../model/message.ts';
import type { KeyValueStore } from '../ports.ts';

export interface Seal {
  /** With its signature and the tag of its id, if it is one that says it is ours. */
  close(message: OutgoingMessage): Promise<OutgoingMessage>;
  /** As `close` was given it; without its mark if `close` never saw it. */
  open(message: IncomingMessage): Promise<IncomingMessage>;
}

const mark = 'longhaul';
const tagChars = 16;

/** Of one who has no key. */
export const unsealed: Seal = {
  close: async (message) => message,
  open: async (message) => message,
};

/** Made once for an installation; whoever reads the app's tables needs no forgery any more. */
export const appKey = (notes: Pick<KeyValueStore, 'claim'>): Promise<string> =>
  notes.claim('key', 'messages', randomBytes(32).toString('base64url'));

/** What nobody but the app knows of this name, the same each time. */
export const secretOf = async (key: Promise<string>, name: string): Promise<string> =>
  createHmac('sha256', await key)
    .update(name)
    .digest('base64url');

export function createSeal(key: Promise<string>): Seal {
  const sign = async (message: IncomingMessage | OutgoingMessage) =>
    createHmac('sha256', await key)
      .update(textOf(message))
      .digest();
  const tagOf = async (id: string) => `:${(await secretOf(key, `id ${id}`)).slice(0, tagChars)}`;
  return {
    async close(message) {
      if (message.properties[mark] === undefined) return message;
      const { messageId: id } = message;
      const tagged = { ...message, messageId: isId(id) ? id : id + (await tagOf(id)) };
      const signature = (await sign(tagged)).toString('base64url');
      return { ...tagged, properties: { ...message.properties, [mark]: signature } };
    },
    async open(message) {
      const { [mark]: said, ...others } = message.properties;
      if (said === undefined) return message;
      const given = Buffer.from(String(said), 'base64url');
      const right = await sign(message);
      if (given.length !== right.length || !timingSafeEqual(given, right))
        return { ...message, properties: others };
      const { messageId = '' } = message;
      const id = messageId.slice(0, -1 - tagChars);
      const isTagged = messageId === id + (await tagOf(id));
      return {
        ...message,
        messageId: isTagged ? id : messageId,
        properties: { ...others, [mark]: 1 },
      };
    },
  };
}

/** All that is read of a message. What SDKs and the broker add on its way has other names. */
function textOf(message: IncomingMessage | OutgoingMessage): string {
  const { queue, messageId, sessionId, contentType, body, properties } = message;
  const { correlationId, replyTo, replyToSessionId } = message;
  const parts = [
    queue,
    messageId,
    sessionId,
    contentType,
    correlationId,
    replyTo,
    replyToSessionId,
  ];
  return JSON.stringify([
    // A decoder may give nothing as null or as an empty text.
    ...parts.map((part) => part || null),
    ...ownProperties.map((name) => (properties[name] == null ? null : String(properties[name]))),
    createHash('sha256').update(body).digest('base64'),
  ]);
}
