/** A recurring job: what is asked for, and what has become of it so far. */
import type { Duration } from './duration.ts';
import type { EndState } from './job-record.ts';
import type { LaneName } from './topology.ts';

/** Times are ISO 8601 in UTC. Exactly one of `cron`, `every` and `at` says when. */
export interface ScheduleDefinition {
  type: string;
  input: unknown;
  /** Five fields, or six with seconds in front. */
  cron?: string;
  /** IANA name, of the cron; default UTC. */
  timeZone?: string;
  /** From the end of one run to the start of the next. */
  every?: Duration;
  /** Once. */
  at?: string;
  /** On whose behalf: the jobs' `requestedBy`. */
  tenant?: string;
  /** What becomes of a due time while the run before it is under way. */
  overlap: 'skip' | 'queue' | 'allow';
  /** What becomes of due times that passed while nobody looked: none, the last, the last hundred. */
  misfire: 'skip' | 'once' | 'all';
  /** Spreads the starts over so long a time after the due time. */
  jitter?: Duration;
  startsAt?: string;
  endsAt?: string;
  enabled: boolean;
  /** Another lane than the type's, one of its `priorities`. */
  lane?: LaneName;
  /** The key of its jobs, for a type that has none. */
  key?: string;
}

/** One due time; or several in a row that were left out, the last of them. */
export interface ScheduleRun {
  at: string;
  /** How many, if more than one. */
  count?: number;
  job?: string;
  /** `skipped` by overlap, `missed` by misfire, `refused` by the type, `lost` without a word. */
  state: 'running' | 'skipped' | 'missed' | 'refused' | 'lost' | EndState;
  endedAt?: string;
  error?: string;
}

export interface Schedule extends ScheduleDefinition {
  id: string;
  /** The app's secret of it: what the ids of its jobs follow from beside their due times. */
  salt?: string;
  /** Stands in the code of a job type. */
  declared?: true;
  createdAt: string;
  /** The due time that is next. */
  nextAt?: string;
  /** The last due time that was decided on: another timing counts from there, or it would come twice. */
  lastAt?: string;
  /** The run that holds up others; not kept where they may overlap. */
  running?: { job: string; since: string; watchAt: string };
  /** Ends that were told before their run was on record; the last twenty. */
  early?: { job: string; state: EndState; at: string }[];
  /** A due time that waits for the end of the run before it, or for a paused schedule to go on. */
  pending?: string;
  counts: { runs: number; succeeded: number; failed: number; skipped: number; missed: number };
  /** The last twenty, oldest first. */
  history: ScheduleRun[];
}

/** Whether the next due time has to wait for the end of a run. */
export const isHeldUp = ({ overlap, running }: Schedule): boolean =>
  overlap !== 'allow' && running !== undefined;

/** When somebody has to look at it next. */
export function wakeAt(schedule: Schedule): string | undefined {
  const { enabled, nextAt, running, pending } = schedule;
  const times = [
    enabled ? nextAt : undefined,
    enabled && !isHeldUp(schedule) ? pending : undefined,
    running?.watchAt,
  ];
  return times.filter((at) => at !== undefined).sort()[0];
}
