/** Entities that go when nobody used them for as long as their `autoDeleteOnIdle` says. */
import { tell } from '../guarded.ts';
import type { BrokerClock } from '../time.ts';
import { Deadlines } from './deadlines.ts';
import type { Description } from './descriptions.ts';
import type { Queue } from './queue.ts';
import { durationMs } from './settings.ts';

interface Idle {
  description: Description;
  queue: Queue;
  transfer: Queue;
  updatedAt: number;
}

export class IdleEntities<T extends Idle> {
  readonly #watched: Deadlines<T>;
  readonly #clock: BrokerClock;

  constructor(clock: BrokerClock, remove: (entity: T) => void) {
    this.#clock = clock;
    this.#watched = new Deadlines(clock, {
      due: (entity, now) => {
        const at = idleAt(entity, now);
        if (at !== undefined && at > now) return at;
        if (at !== undefined) remove(entity);
        return undefined;
      },
      isOver: () => false,
      failed: (_, fault) => tell('An idle entity was not removed')(fault),
    });
  }

  /** To be called when it is made and when its description changed. */
  watch(entity: T): void {
    const at = idleAt(entity, this.#clock.now());
    if (at !== undefined) this.#watched.add(at, entity);
  }

  close(): void {
    this.#watched.close();
  }
}

/** Undefined when it stays for ever. Who has a link open uses it; so does what waits for its time. */
function idleAt({ description, queue, transfer, updatedAt }: Idle, now: number) {
  const idleMs = durationMs(description.autoDeleteOnIdle);
  if (idleMs === undefined) return undefined;
  const parts = [queue, transfer, ...(queue.deadLetters ? [queue.deadLetters] : [])];
  const isUsed = queue.stock.counts.scheduled > 0 || parts.some(({ links }) => links.size > 0);
  return (isUsed ? now : Math.max(updatedAt, ...parts.map((part) => part.accessedAt))) + idleMs;
}
