/** One job whose handler a test gives, in a world of its own. */
import assert from 'node:assert/strict';
import { z } from 'zod';
import { submit } from '#longhaul/admit/submit.js';
import {
  type Catalogue,
  defineJob,
  type Job,
  type JobPolicy,
  type RequestOptions,
} from '#longhaul/define/define-job.js';
import type { JobRecord } from '#longhaul/model/job-record.js';
import { type Trouble, World } from './world.ts';

export type AnyJob = Job<Record<string, z.ZodType<{ n: number; text?: string }>>>;
export type Handler = (job: AnyJob) => Promise<unknown>;

const told = z.object({ n: z.number(), text: z.string().optional() });

/** A type whose handler returns whatever it likes. */
export const typeOf = (handler: Handler, policy: JobPolicy<{ n: number }> = {}, type = 'test') =>
  defineJob({
    type,
    input: z.object({ n: z.number().default(0) }),
    events: { a: told, b: told },
    attempts: 3,
    backoff: { initial: '10s', jitter: false },
    ...policy,
    run: async (_, job) => (await handler(job as unknown as AnyJob)) as null,
  });

export interface Ran {
  world: World;
  id: string;
  record(): JobRecord;
  result(): unknown;
  /** Until nothing lies in a queue. */
  rest(): Promise<void>;
}

export async function start(
  handler: Handler,
  policy: JobPolicy<{ n: number }> = {},
  { options = {}, trouble }: { options?: RequestOptions; trouble?: () => Trouble } = {},
  others: Catalogue = [],
): Promise<Ran> {
  const type = typeOf(handler, policy);
  const world = new World([type, ...others], trouble);
  const { record: submitted } = await submit(world.app(), type.with({ n: 1 }, options));
  const { id } = submitted;
  const record = () => {
    const found = world.record(id);
    assert.ok(found, `there is no record of ${id}`);
    return found;
  };
  return {
    world,
    id,
    record,
    rest: () => world.run(() => 0),
    result() {
      const { result, error } = record();
      assert.ok(result, error?.message);
      const json = 'json' in result ? result.json : world.stores.blobs.get(result.blob)?.toString();
      return JSON.parse(json ?? 'null');
    },
  };
}

export async function run(handler: Handler, policy: JobPolicy<{ n: number }> = {}): Promise<Ran> {
  const ran = await start(handler, policy);
  await ran.rest();
  return ran;
}

export const large = (text: string, chars = 9_000) => text.padEnd(chars, '.');
