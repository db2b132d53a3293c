/**
 * Shows which messages the app itself sent: on the wire their property `longhaul` is a signature by a
 * key that only the app can read. One without it, or with one that was made up or copied, is a
 * stranger's, of which `fromMessage` believes less.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { type IncomingMessage, type OutgoingMessage, ownProperties } from '../model/message.ts';
import type { Notes } from '../pipeline/ports.ts';

export interface Seal {
  /** With its signature, if it is one that says it is ours. */
  close(message: OutgoingMessage): Promise<OutgoingMessage>;
  /** As `close` was given it; without its mark if `close` never saw it. */
  open(message: IncomingMessage): Promise<IncomingMessage>;
}

const mark = 'longhaul';

/** Of one who has no key. */
export const unsealed: Seal = {
  close: async (message) => message,
  open: async (message) => message,
};

/** Made once for an installation; whoever reads the app's tables needs no forgery any more. */
export const appKey = (notes: Pick<Notes, 'claim'>): Promise<string> =>
  notes.claim('key', 'messages', randomBytes(32).toString('base64url'));

export function createSeal(key: Promise<string>): Seal {
  const sign = async (message: IncomingMessage | OutgoingMessage) =>
    createHmac('sha256', await key)
      .update(textOf(message))
      .digest();
  return {
    async close(message) {
      if (message.properties[mark] === undefined) return message;
      const signature = (await sign(message)).toString('base64url');
      return { ...message, properties: { ...message.properties, [mark]: signature } };
    },
    async open(message) {
      const { [mark]: said, ...others } = message.properties;
      if (said === undefined) return message;
      const given = Buffer.from(String(said), 'base64url');
      const right = await sign(message);
      const isOurs = given.length === right.length && timingSafeEqual(given, right);
      return { ...message, properties: isOurs ? { ...others, [mark]: 1 } : others };
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
