/** Job types that come with Longhaul: they call somebody else's HTTP address. */
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { defineJob, type Job, type JobRequest } from '../define-job.ts';
import { NonRetryableError, RetryAfterError } from '../errors.ts';
import { durationSchema as duration, toMs } from '../model/duration.ts';
import { callbackType } from '../model/event.ts';
import type { Allowed } from '../outbound/address.ts';
import { callOut, type OutboundAnswer } from '../outbound/call.ts';
import { msUntil } from '../pipeline/backoff.ts';

export interface Outbound {
  allowed: Allowed;
  /** Signs callbacks: `whsec_` and a key in base64. */
  secret: string | undefined;
}

const hasJson = ({ headers }: OutboundAnswer) =>
  /^application\/([\w.-]+\+)?json\b/i.test(headers['content-type'] ?? '');

/**
 * What came back, JSON as its value. An answer to HEAD has none, and what says that it is JSON may be
 * something else: the call was made, so that is no reason to make it again.
 */
function bodyOf(answer: OutboundAnswer): unknown {
  if (answer.body === '') return hasJson(answer) ? null : '';
  if (!hasJson(answer)) return answer.body;
  try {
    return JSON.parse(answer.body) as unknown;
  } catch {
    return answer.body;
  }
}

// Ten tries are to be over within a day, whatever the other side asks for.
const longestWaitMs = toMs('2h');

/** What is wrong with an answer is wrong for good, or comes back later. */
function failure(url: string, { status, headers, body }: OutboundAnswer): Error {
  const told = `${url} answered ${status}${body ? `: ${body.slice(0, 200)}` : ''}`;
  const later = headers['retry-after'];
  const waitMs = later ? msUntil(later, new Date()) : Number.NaN;
  if ([429, 503].includes(status) && !Number.isNaN(waitMs))
    return new RetryAfterError(told, Math.min(waitMs, longestWaitMs));
  const forGood = status < 500 && ![408, 425, 429].includes(status);
  return forGood ? new NonRetryableError(told) : new Error(told);
}

/** Tells the end of a job to an address, signed by the Standard Webhooks scheme. */
export const callback = ({ allowed, secret }: Outbound) =>
  defineJob({
    type: callbackType,
    input: z.object({ url: z.string(), id: z.string(), event: z.record(z.string(), z.unknown()) }),
    timeout: '40s',
    // Over about half a day: longer than most outages of who is called.
    attempts: 10,
    backoff: { initial: '5s', factor: 4, max: '2h' },
    async run({ url, id, event }, job) {
      if (!secret) throw new NonRetryableError('Set CALLBACK_SECRET: callbacks are signed.');
      const body = JSON.stringify(event);
      const at = new Date();
      const answer = await callOut(
        {
          url,
          body,
          method: 'POST',
          headers: {
            'content-type': 'application/cloudevents+json',
            'webhook-id': id,
            'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
            'webhook-signature': new Webhook(secret).sign(id, at, body),
          },
          timeoutMs: 30_000,
          signal: job.signal,
        },
        allowed,
      );
      if (answer.status >= 200 && answer.status < 300) return { status: answer.status };
      // Standard Webhooks: 410 wants no more; a moved address is to be changed by who gave it.
      throw [404, 405].includes(answer.status)
        ? new Error(`${url} answered ${answer.status}`)
        : failure(url, answer);
    },
  });

const call = z.strictObject({
  url: z.string().min(1),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']).default('GET'),
  headers: z.record(z.string(), z.string()).default({}),
  /** Text as it is; anything else as JSON. */
  body: z.unknown().optional(),
  /** Default: 200 to 299. */
  successCodes: z.array(z.int().min(100).max(599)).optional(),
  timeout: duration.default('1m'),
});

/** What an answer of this type has in `calls` is called too, as children. */
const callsType = 'application/vnd.longhaul.calls+json';
const calls = z.object({ calls: z.array(call).max(10_000), limit: z.int().min(1).optional() });

type CallResult = {
  status: number;
  body: unknown;
  calls?: { ok: boolean; status?: number; error?: string }[];
};

/** Runs a web address as a job, in whatever language it is written. */
export function webCall({ allowed }: Outbound) {
  const type = defineJob({
    type: 'web.call',
    input: call,
    output: z.custom<CallResult>(),
    timeout: '9m',
    priorities: ['urgent', 'bulk'],
    async run(input, job): Promise<CallResult> {
      const answer = await job.step('call', () => callOnce(input, job, allowed));
      const { status, body } = answer;
      if (!(answer.contentType ?? '').startsWith(callsType)) return { status, body };
      const read = calls.safeParse(body);
      if (!read.success)
        throw new NonRetryableError(`${input.url} lists no calls: ${z.prettifyError(read.error)}`);
      const listed = read.data;
      const requests: JobRequest<CallResult>[] = listed.calls.map((one) => type.with(one));
      const limit = listed.limit === undefined ? {} : { limit: listed.limit };
      const ended = await job.childrenSettled('calls', requests, limit);
      return {
        status,
        body: null,
        calls: ended.map((one) =>
          one.ok
            ? { ok: true, status: (one.result as CallResult).status }
            : { ok: false, error: one.error.message },
        ),
      };
    },
  });
  return type;
}

async function callOnce(
  { url, method, headers, body, successCodes, timeout }: z.output<typeof call>,
  job: Pick<Job, 'signal'>,
  allowed: Allowed,
) {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const json =
    body === undefined || typeof body === 'string' ? {} : { 'content-type': 'application/json' };
  const answer = await callOut(
    {
      ...{ url, method, body: text, timeoutMs: toMs(timeout), signal: job.signal },
      headers: { ...json, ...headers },
    },
    allowed,
  );
  const { status } = answer;
  const isFine = successCodes ? successCodes.includes(status) : status >= 200 && status < 300;
  if (!isFine) throw failure(url, answer);
  return {
    status,
    contentType: answer.headers['content-type'] ?? null,
    // Whatever JSON gave, JSON can keep.
    body: bodyOf(answer) as string,
  };
}
