/** Values too large for a message or a record go to a blob, and its name goes in their place. */

import { fromJson, toJson } from '../define/json.ts';
import { BadMessageError, NonRetryableError } from '../errors.ts';
import type { StoredValue } from '../model/job-record.ts';
import { blobContentType } from '../model/message.ts';
import { folderOf, inputBlob } from '../model/names.ts';
import type { Blobs } from '../ports.ts';

// A Standard namespace takes messages of 256 KB; half leaves room for a batch and its properties.
export const inMessageBytes = 128 * 1024;
// A string property of a table entity holds 32 K UTF-16 characters.
export const inRecordChars = 30_000;

/**
 * The body of a job's message: its input, or the name of the blob that has it. `beforeBlob` is called
 * before there is one.
 */
export async function toBody(
  blobs: Blobs,
  id: string,
  input: unknown,
  beforeBlob: () => Promise<void>,
) {
  const body = Buffer.from(JSON.stringify(input) ?? 'null');
  if (body.length <= inMessageBytes) return { body, contentType: 'application/json' };
  const blob = inputBlob(id);
  await beforeBlob();
  await blobs.write(blob, body, 'application/json');
  return { body: Buffer.from(JSON.stringify({ blob })), contentType: blobContentType };
}

interface Body {
  body: Buffer;
  contentType?: string | undefined;
}

/**
 * The input that a message of the job `id` carries or names. @throws BadMessageError; any other Error
 * when storage is out of reach
 */
export async function fromBody(blobs: Blobs, id: string, message: Body): Promise<unknown> {
  if (message.contentType !== blobContentType) return parse(message.body);
  const blob = blobNamed(message);
  if (blob === undefined) throw new BadMessageError('it is to name the blob of its input');
  // Of its own: what other jobs keep is none of its business.
  if (!blob.startsWith(folderOf(id)))
    throw new BadMessageError(`the blob '${blob.slice(0, 200)}' is not one of this job`);
  const found = await blobs.read(blob);
  if (!found) throw new BadMessageError(`the blob '${blob}' that holds the input is not there`);
  return parse(found.content);
}

function parse(content: Buffer): unknown {
  try {
    return fromJson(content.toString('utf8'));
  } catch (error) {
    throw unreadable(error as Error);
  }
}

/** What a parser says shows a piece of what it read, and this goes to logs. */
const unreadable = ({ message }: Error) =>
  new BadMessageError(/^It is nested/.test(message) ? 'it is nested too deep' : 'it is no JSON');

/** The blob that a message names in place of its input; undefined when it names none. */
function blobNamed({ body }: Body): string | undefined {
  try {
    const { blob } = (JSON.parse(body.toString('utf8')) ?? {}) as { blob?: unknown };
    return typeof blob === 'string' && blob !== '' ? blob : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Keeps a JSON value beside a record; `blob` is the name it gets when it is large, `what` says whose
 * value it is. @throws NonRetryableError, code `not_json`
 */
export async function storeValue(
  blobs: Blobs,
  blob: string,
  value: unknown,
  what: string,
  inPlaceChars = inRecordChars,
): Promise<StoredValue> {
  return storeJson(blobs, blob, toJson(value, what), inPlaceChars);
}

/** The same for what is JSON text already. */
export async function storeJson(
  blobs: Blobs,
  blob: string,
  json: string,
  inPlaceChars = inRecordChars,
): Promise<StoredValue> {
  if (json.length <= inPlaceChars) return { json };
  await blobs.write(blob, Buffer.from(json), 'application/json');
  return { blob };
}

/** A message's body as a record keeps it, at no cost; undefined for one that is too large for that. */
export function keptBody(message: Body, inPlaceChars = inMessageBytes): StoredValue | undefined {
  const named = message.contentType === blobContentType ? blobNamed(message) : undefined;
  if (named !== undefined) return { blob: named };
  const text = message.body.toString('utf8');
  return text.length <= inPlaceChars ? { json: text } : undefined;
}

/** Keeps a message's body, so that the message can be made again from the record. */
export async function storeBody(
  blobs: Blobs,
  id: string,
  message: Body,
  inPlaceChars = inRecordChars,
): Promise<StoredValue> {
  const kept = keptBody(message, inPlaceChars);
  if (kept) return kept;
  const { body } = message;
  const blob = inputBlob(id);
  await blobs.write(blob, body, 'application/json');
  return { blob };
}

/** The body and content type of the message that `keepBody` was given. */
export const bodyOf = (input: StoredValue) =>
  'json' in input
    ? { body: Buffer.from(input.json), contentType: 'application/json' }
    : { body: Buffer.from(JSON.stringify(input)), contentType: blobContentType };

/** The JSON text of a kept value. @throws NonRetryableError, code `blob_gone` */
export async function loadJson(blobs: Blobs, value: StoredValue): Promise<string> {
  if ('json' in value) return value.json;
  const found = await blobs.read(value.blob);
  if (!found)
    throw new NonRetryableError(`The blob '${value.blob}' is gone: it was removed by hand.`, {
      code: 'blob_gone',
    });
  return found.content.toString('utf8');
}
