/** A job's record as the API shows it. */

import { countEnded } from '../fate/waiting.ts';
import { hasEnded, type JobRecord } from '../model/job-record.ts';
import { pathOfJob } from '../model/names.ts';
import { shownState } from '../operate/find-jobs.ts';
import { shownUrl } from '../outbound/address.ts';

export function toStatus(record: JobRecord, now: Date) {
  const {
    id,
    type,
    state: _,
    result,
    error,
    children,
    ending,
    events,
    callback,
    ...known
  } = withoutInsides(record);
  const path = pathOfJob(record.id);
  return {
    id,
    type,
    state: shownState(record, now),
    ...known,
    ...(callback === undefined ? {} : { callback: shownUrl(callback) }),
    ...progressOf(record),
    ...(children ? { children: countsOf(children) } : {}),
    ...(events ? { events: Object.keys(events) } : {}),
    // Its steps are being undone; then it ends in this state.
    ...(ending ? { ending: ending.state } : {}),
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

function withoutInsides(record: JobRecord) {
  const {
    checkpoint: _c,
    owner: _o,
    writes: _r,
    queue: _q,
    input: _i,
    session: _s,
    ...some
  } = record;
  const {
    triedBefore: _t,
    turn: _n,
    woken: _w,
    rung: _g,
    provisional: _v,
    untaken: _z,
    undoable: _u,
    place: _p,
    above: _a,
    keep: _k,
    starts: _d,
    sequence: _m,
    putBack: _x,
    released: _e,
    retriedBy: _y,
    releasedFrom: _h,
    // Of other jobs than this one they tell too.
    claims: _l,
    foreign: _f,
    unkept: _j,
    attempts: _b,
    ranBy: _ab,
    ...shown
  } = some;
  return shown;
}

/** While it waits for children, how many of them have ended is how far it is. */
function progressOf({ state, waits, children = {}, progress }: JobRecord) {
  const groups = state === 'waiting' ? (waits?.children ?? []) : [];
  if (groups.length === 0) return progress ? { progress } : {};
  const counts = groups.flatMap((name) => children[name] ?? []);
  const done = counts.reduce((sum, { ended }) => sum + countEnded(ended), 0);
  return { progress: { done, of: counts.reduce((sum, { of }) => sum + of, 0) } };
}

const countsOf = (children: NonNullable<JobRecord['children']>) =>
  Object.fromEntries(
    Object.entries(children).map(([name, { of, done, ended }]) => [
      name,
      { of, succeeded: done, ended: countEnded(ended) },
    ]),
  );

// A caller that polls should not ask more often than there can be news.
export const retryAfterSeconds = ({ state, runAt }: JobRecord, now: Date): number => {
  if (state === 'running' || !runAt) return 1;
  return Math.min(60, Math.max(1, Math.ceil((new Date(runAt).getTime() - now.getTime()) / 1000)));
};

/** A weak entity tag (RFC 9110, 8.8.3) from the version of the stored record. */
export const toETag = (version: string) => `W/"${Buffer.from(version).toString('base64url')}"`;
