import type { OutgoingMessage } from '../../../functions/model/message.ts';

/** A message that somebody sent straight to a lane. */
export const sent = (id: string, more: Partial<OutgoingMessage> = {}): OutgoingMessage => ({
  queue: 'standard',
  messageId: id,
  contentType: 'application/json',
  body: Buffer.from('{"n":1}'),
  properties: { type: 'test' },
  ...more,
});
