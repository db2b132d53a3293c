import type { OutgoingMessage } from '#longhaul/model/message.js';

/** A message that somebody sent straight to a lane. */
export const sent = (id: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  queue: 'standard',
  messageId: id,
  contentType: 'application/json',
  body: Buffer.from('{"n":1}'),
  properties: { type: 'test' },
  ...more,
});
