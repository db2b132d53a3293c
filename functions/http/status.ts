/** A job's record as the API shows it. */
import { hasEnded, type JobRecord } from '../model/job-record.ts';

export function toStatus(record: JobRecord, now: Date) {
  const { checkpoint: _c, owner: _o, queue: _q, input: _i, triedBefore: _t, ...shown } = record;
  const { session: _s, result, error, ...known } = shown;
  // The broker makes it ready without a word to the record.
  const isDue = record.state === 'scheduled' && record.runAt && new Date(record.runAt) <= now;
  const path = `/api/jobs/${record.id}`;
  return {
    ...known,
    ...(isDue ? { state: 'queued' } : {}),
    // A stack is for the log and the operator's record, not for every caller.
    ...(error ? { error: { ...error, stack: undefined } } : {}),
    ...(result && 'json' in result ? { result: JSON.parse(result.json) as unknown } : {}),
    links: {
      self: path,
      ...(record.state === 'succeeded' ? { result: `${path}/result` } : {}),
      ...(record.state === 'failed' ? { retry: `${path}/retry` } : {}),
      ...(hasEnded(record.state) ? {} : { cancel: `${path}/cancel` }),
    },
  };
}

// A caller that polls should not ask more often than there can be news.
export const retryAfterSeconds = ({ state, runAt }: JobRecord, now: Date): number => {
  if (state === 'running' || !runAt) return 1;
  return Math.min(60, Math.max(1, Math.ceil((new Date(runAt).getTime() - now.getTime()) / 1000)));
};

/** A weak entity tag (RFC 9110, 8.8.3) from the version of the stored record. */
export const toETag = (version: string) => `W/"${Buffer.from(version).toString('base64url')}"`;
