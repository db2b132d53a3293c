import rhea from 'rhea';

/** An encoded batch (message format 0x80013700): an envelope whose data sections are messages. */
export function batchedMessages(bodies: readonly string[]): Buffer {
  const encode = (message: object) => rhea.message.encode(message as never) as unknown as Buffer;
  const messages = bodies.map((body) => encode({ body }));
  return encode({ body: rhea.message.data_sections(messages as never) });
}
