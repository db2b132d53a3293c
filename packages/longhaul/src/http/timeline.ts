/** What a job did when: a tree of spans, from which a flame can be drawn. Without I/O. */
import type { Entry } from '../handler/checkpoint.ts';
import {
  type ChildGroup,
  type EndedAttempt,
  hasEnded,
  type JobRecord,
  type Ran,
} from '../model/job-record.ts';

export interface Span {
  kind: 'job' | 'queue' | 'attempt' | 'undo' | Entry['kind'];
  name?: string;
  begin: string;
  /** None while it lasts. */
  end?: string;
  attempt?: number;
  app?: string;
  version?: string;
  instance?: string;
  error?: { name?: string; message: string; code?: string };
  /** Of a group of children. */
  children?: number;
  /** A wait that was given up for its timeout. */
  late?: true;
  spans?: Span[];
}

const isoOf = (ms: number) => new Date(ms).toISOString();
const byBegin = (a: Span, b: Span) => (a.begin < b.begin ? -1 : a.begin > b.begin ? 1 : 0);

/** `entries`: what its checkpoint keeps. What a version before kept without a time is left out. */
export function toTimeline(record: JobRecord, entries: Readonly<Record<string, Entry>>) {
  const { id, type, state, version, createdAt, finishedAt } = record;
  const attempts = attemptsOf(record);
  const parts = [...partsOf(record, entries), ...undoneOf(record)].sort(byBegin);
  const spans = attempts.map((attempt) => {
    const own = parts.filter((part) => part.kind !== 'undo' && part.attempt === attempt.attempt);
    return own.length > 0 ? { ...attempt, spans: own } : attempt;
  });
  // Of an attempt that is no longer listed, and of the undo, which is of none.
  const listed = new Set(attempts.map(({ attempt }) => attempt));
  const others = parts.filter(({ kind, attempt }) => kind === 'undo' || !listed.has(attempt));
  const root: Span = {
    kind: 'job',
    name: type,
    begin: createdAt,
    ...(finishedAt ? { end: finishedAt } : {}),
    spans: [...withQueues(record, spans), ...others].sort(byBegin),
  };
  return { id, type, state, ...(version ? { version } : {}), ...root };
}

/** Those that are over, and the one that has begun. */
function attemptsOf(record: JobRecord): Span[] {
  const { attempts = [], history = [], attempt, startedAt, finishedAt, ranBy, ending } = record;
  const known = new Set(attempts.map((one) => one.attempt));
  // Versions before listed those that failed.
  const before: EndedAttempt[] = history.flatMap(({ startedAt: from, ...one }) =>
    from && !known.has(one.attempt) ? [{ ...one, startedAt: from }] : [],
  );
  const over = [...before, ...attempts].map(({ startedAt: begin, endedAt: end, ...more }) => ({
    ...{ kind: 'attempt' as const, begin, end },
    ...more,
  }));
  if (startedAt === undefined || ending || over.some((one) => one.attempt === attempt)) return over;
  const end = finishedAt ? { end: finishedAt } : {};
  return [...over, { kind: 'attempt', attempt, begin: startedAt, ...end, ...ranBy }];
}

/** Before each attempt the time in its queue, and what has passed since the last. */
function withQueues(record: JobRecord, attempts: readonly Span[]): Span[] {
  const { state, createdAt, finishedAt, ending } = record;
  const span = (begin: string | undefined, end: string | undefined): Span[] =>
    begin === undefined ? [] : [{ kind: 'queue', begin, ...(end ? { end } : {}) }];
  const last = attempts.at(-1);
  if (!last) return span(createdAt, finishedAt);
  const all = attempts.flatMap((one, at) => [
    ...span(one.attempt === 1 ? createdAt : attempts[at - 1]?.end, one.begin),
    one,
  ]);
  const isOver = hasEnded(state) || ending !== undefined;
  return isOver || last.end === undefined ? all : [...all, ...span(last.end, undefined)];
}

function partsOf({ children = {} }: JobRecord, entries: Readonly<Record<string, Entry>>): Span[] {
  const kept = Object.entries(entries).flatMap(
    ([name, { kind, ran, tried = [], late, failed }]) => {
      const of = Object.hasOwn(children, name) ? { children: children[name]?.of ?? 0 } : {};
      const span = (one: Ran, more: Partial<Span> = {}): Span => ({
        ...{ kind, name, ...timesOf(one), ...more },
        ...(kind === 'children' ? of : {}),
      });
      const failures = tried.map((one) => span(one.ran, { error: { message: one.error } }));
      // Its last failure stands in the list of them.
      const isListed = failed && tried.some((one) => one.ran[0] === ran?.[0]);
      return [...failures, ...(ran && !isListed ? [span(ran, late ? { late: true } : {})] : [])];
    },
  );
  const underWay = Object.entries(children)
    .filter(([name]) => !entries[name]?.ran)
    .map(([name, group]) => groupSpan(name, group));
  return [...kept, ...underWay];
}

const groupSpan = (name: string, { at, of }: ChildGroup): Span => ({
  ...{ kind: 'children', name, begin: at, children: of },
});

const timesOf = ([begin, ms, attempt]: Ran) => ({
  begin: isoOf(begin),
  ...(ms === null ? {} : { end: isoOf(begin + ms) }),
  attempt,
});

/** The undo, and the steps that it took back. */
const undoneOf = ({ undone = [] }: JobRecord): Span[] =>
  undone.flatMap(({ step, from, at, error, ran }) => [
    ...(ran ? [{ kind: 'step' as const, name: step, ...timesOf(ran) }] : []),
    { kind: 'undo', name: step, begin: from ?? at, end: at, ...(error ? { error } : {}) },
  ]);
