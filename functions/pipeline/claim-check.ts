/** Values too large for a message or a record go to a blob, and its name goes in their place. */
import type { Kept } from '../model/job-record.ts';
import { blobContentType } from '../model/message.ts';
import type { Blobs } from './ports.ts';

// A Standard namespace takes messages of 256 KB; half leaves room for a batch and its properties.
const inMessageBytes = 128 * 1024;
// A string property of a table entity holds 32 K UTF-16 characters.
const inRecordChars = 30_000;

const inputBlob = (id: string) => `jobs/${id}/input.json`;

/** The body of a job's message: its input, or the name of the blob that has it. */
export async function toBody(blobs: Blobs, id: string, input: unknown) {
  const body = Buffer.from(JSON.stringify(input) ?? 'null');
  if (body.length <= inMessageBytes) return { body, contentType: 'application/json' };
  const blob = inputBlob(id);
  await blobs.write(blob, body, 'application/json');
  return { body: Buffer.from(JSON.stringify({ blob })), contentType: blobContentType };
}

/** @throws SyntaxError when the body is no JSON; Error when its blob is gone. */
export async function fromBody(
  blobs: Blobs,
  { body, contentType }: { body: Buffer; contentType: string },
): Promise<unknown> {
  const value = JSON.parse(body.toString('utf8')) as unknown;
  if (contentType !== blobContentType) return value;
  const { blob } = value as { blob: string };
  const found = await blobs.read(blob);
  if (!found) throw new SyntaxError(`The blob '${blob}' that holds the input is not there.`);
  return JSON.parse(found.content.toString('utf8'));
}

/** Keeps a JSON value beside a record; `blob` is the name it gets when it is large. */
export async function keep(
  blobs: Blobs,
  blob: string,
  value: unknown,
  inPlaceChars = inRecordChars,
): Promise<Kept> {
  const json = JSON.stringify(value) ?? 'null';
  if (json.length <= inPlaceChars) return { json };
  await blobs.write(blob, Buffer.from(json), 'application/json');
  return { blob };
}

/** Keeps a message's body, so that the message can be made again from the record. */
export async function keepBody(
  blobs: Blobs,
  id: string,
  { body, contentType }: { body: Buffer; contentType?: string | undefined },
): Promise<Kept> {
  const text = body.toString('utf8');
  if (contentType === blobContentType) return JSON.parse(text) as { blob: string };
  if (text.length <= inRecordChars) return { json: text };
  const blob = inputBlob(id);
  await blobs.write(blob, body, 'application/json');
  return { blob };
}

/** The body and content type of the message that `keepBody` was given. */
export const bodyOf = (input: Kept) =>
  'json' in input
    ? { body: Buffer.from(input.json), contentType: 'application/json' }
    : { body: Buffer.from(JSON.stringify(input)), contentType: blobContentType };

/** The JSON text of a kept value. */
export async function kept(blobs: Blobs, value: Kept): Promise<string> {
  if ('json' in value) return value.json;
  const found = await blobs.read(value.blob);
  if (!found) throw new Error(`The blob '${value.blob}' is gone: it was removed by hand.`);
  return found.content.toString('utf8');
}
