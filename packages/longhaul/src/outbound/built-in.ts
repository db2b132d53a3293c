/** Job types that come with Longhaul: they call somebody else's HTTP address. */
import { Webhook } from 'standardwebhooks';
import { z } from 'zod';
import { defineJob, type Job, type JobRequest } from '../define/define-job.ts';
import { NonRetryableError, RetryAfterError } from '../errors.ts';
import { msUntil } from '../fate/backoff.ts';
import { durationSchema as duration, toMs } from '../model/duration.ts';
import { callbackType } from '../model/event.ts';
import { shownUrl } from './address.ts';
import { callOut, type OutboundAnswer } from './call.ts';
import { headersSchema } from './headers.ts';
import { type Outbound, secretHeadersOf, signersOf } from './receivers.ts';

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
  const told = `${shownUrl(url)} answered ${status}${body ? `: ${body.slice(0, 200)}` : ''}`;
  const later = headers['retry-after'];
  const waitMs = later ? msUntil(later, new Date()) : Number.NaN;
  if ([429, 503].includes(status) && !Number.isNaN(waitMs))
    return new RetryAfterError(told, Math.min(waitMs, longestWaitMs));
  const forGood = status < 500 && ![408, 425, 429].includes(status);
  return forGood ? new NonRetryableError(told) : new Error(told);
}

/** Tells the end of a job to an address, signed by the Standard Webhooks scheme. */
export const callback = (outbound: Outbound) =>
  defineJob({
    type: callbackType,
    input: z.object({ url: z.string(), id: z.string(), event: z.record(z.string(), z.unknown()) }),
    // Its query may be a secret of who gave it.
    redact: ['/url'],
    timeout: '40s',
    // Over about half a day: longer than most outages of who is called.
    attempts: 10,
    backoff: { initial: '5s', factor: 4, max: '2h' },
    async run({ url, id, event }, job) {
      const signers = signersOf(url, outbound);
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
            // While a secret is being changed the receiver may know either.
            'webhook-signature': signers
              .map((secret) => new Webhook(secret).sign(id, at, body))
              .join(' '),
          },
          timeoutMs: 30_000,
          signal: job.signal,
        },
        outbound.allowed,
      );
      if (answer.status >= 200 && answer.status < 300) return { status: answer.status };
      // Standard Webhooks: 410 wants no more; a moved address is to be changed by who gave it.
      throw [404, 405].includes(answer.status)
        ? new Error(`${shownUrl(url)} answered ${answer.status}`)
        : failure(url, answer);
    },
  });

const longestCall = '9m';
const call = z.strictObject({
  url: z.string().min(1).max(8_192),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']).default('GET'),
  /** Kept with the job: what is secret stands in OUTBOUND_HEADERS. */
  headers: headersSchema.default({}),
  /** Text as it is; anything else as JSON. */
  body: z.unknown().optional(),
  /** Default: 200 to 299. */
  successCodes: z.array(z.int().min(100).max(599)).max(500).optional(),
  /** So many calls may follow from this one by what pages list, and from those in turn. */
  mostCalls: z.int().min(0).max(50_000).default(50_000),
  /** Of a call that a page listed: the page's origin. Secret headers and inner addresses are for no other. */
  listedBy: z.string().max(300).optional(),
  timeout: duration
    .refine((text) => toMs(text) <= toMs(longestCall), `is longer than ${longestCall}`)
    .default('1m'),
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
export function webCall(outbound: Outbound) {
  const type = defineJob({
    type: 'web.call',
    input: call,
    redact: ['/headers'],
    output: z.custom<CallResult>(),
    timeout: longestCall,
    priorities: ['urgent', 'bulk'],
    async run(input, job): Promise<CallResult> {
      const answer = await job.step('call', () => callOnce(input, job, outbound));
      const { status, body } = answer;
      if (!(answer.contentType ?? '').startsWith(callsType)) return { status, body };
      const read = calls.safeParse(body);
      if (!read.success)
        throw new NonRetryableError(
          `${shownUrl(input.url)} lists no calls: ${z.prettifyError(read.error)}`,
        );
      const listed = read.data;
      const { origin } = new URL(input.url);
      const share = shareOf(input, listed.calls.length);
      const requests: JobRequest<CallResult>[] = listed.calls.map((one) =>
        type.with({ ...one, listedBy: origin, mostCalls: Math.min(one.mostCalls, share) }),
      );
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

/** Of what may follow from this call, what each of so many has. @throws NonRetryableError */
function shareOf({ url, mostCalls }: z.output<typeof call>, count: number): number {
  if (count <= mostCalls) return Math.floor((mostCalls - count) / Math.max(count, 1));
  throw new NonRetryableError(
    `${shownUrl(url)} lists ${count} calls, and ${mostCalls} more may follow from the first one: list fewer in each page, or ask for more by mostCalls.`,
    { code: 'too_many_calls' },
  );
}

async function callOnce(
  { url, method, headers, body, successCodes, timeout, listedBy }: z.output<typeof call>,
  job: Pick<Job, 'signal'>,
  outbound: Outbound,
) {
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const json =
    body === undefined || typeof body === 'string' ? {} : { 'content-type': 'application/json' };
  // A page has others called with its own rights, not with ours.
  const isOwn = listedBy === undefined || (URL.canParse(url) && new URL(url).origin === listedBy);
  const secrets = isOwn ? secretHeadersOf(url, outbound) : {};
  const answer = await callOut(
    {
      ...{ url, method, body: text, timeoutMs: toMs(timeout), signal: job.signal },
      headers: { ...json, ...headers, ...secrets },
    },
    isOwn ? outbound.allowed : [],
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
