/** What lies in the lanes, as far as a look at the first of it tells. */
import type { Lane } from '../model/topology.ts';
import type { LyingMessage } from '../ports.ts';
import type { Working } from '../run/attempt.ts';
import { type WorkerStatus, workersHeardOf } from '../run/heartbeat.ts';

/** Counts up to a thousand; a thousand stands for more. */
export interface QueueStatus {
  queue: string;
  /** There to be taken, or taken and not answered yet. */
  active: number;
  /** There later: delays and retries. */
  scheduled: number;
  deadLetters: number;
  /** When the oldest that is there was sent. */
  oldestAt: string | undefined;
}

export interface LaneStatus {
  lane: string;
  queues: QueueStatus[];
  /** How many processes were heard of that serve it, and what they run at once at most. */
  workers: number;
  places: number;
}

type Asking = Pick<Working, 'queue' | 'topology' | 'notes' | 'clock'>;

/** More would take longer than anybody waits, and says the same. */
export const mostCounted = 1_000;

export async function lookAtLanes(app: Asking): Promise<LaneStatus[]> {
  const workers = await workersHeardOf(app);
  return Promise.all(app.topology.lanes.map((lane) => lookAtLane(app, lane, workers)));
}

async function lookAtLane(
  app: Asking,
  { name, plain, keyed }: Lane,
  all: readonly WorkerStatus[],
): Promise<LaneStatus> {
  const serving = all.filter(({ lanes }) => lanes.includes(name));
  return {
    lane: name,
    queues: await Promise.all([plain, keyed].map((queue) => lookAt(app, queue))),
    workers: serving.length,
    places: serving.reduce((sum, { places }) => sum + places, 0),
  };
}

async function lookAt({ queue }: Asking, name: string): Promise<QueueStatus> {
  const [lying, letters] = await Promise.all([
    queue.peek(name, mostCounted),
    queue.peek(name, mostCounted, 'dead letters'),
  ]);
  const active = lying.filter(({ state }) => state === 'active');
  return {
    queue: name,
    active: active.length,
    scheduled: lying.filter(({ state }) => state === 'scheduled').length,
    deadLetters: letters.length,
    oldestAt: oldest(active)?.toISOString(),
  };
}

const oldest = (all: readonly LyingMessage[]): Date | undefined =>
  all.reduce<Date | undefined>(
    (first, { enqueuedAt }) => (first && (!enqueuedAt || first <= enqueuedAt) ? first : enqueuedAt),
    undefined,
  );
