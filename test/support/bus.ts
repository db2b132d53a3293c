/** The broker's entities without a socket: a clock that the test moves, a store that it can hurt. */
import rhea from 'rhea';
import type { Content } from '#service-bus/amqp/message.js';
import { parseMessage } from '#service-bus/amqp/message.js';
import type { Consumer } from '#service-bus/entity/consumer.js';
import type { Message } from '#service-bus/entity/message.js';
import { topologySchema } from '#service-bus/entity/settings.js';
import { Namespace } from '#service-bus/namespace.js';
import type { Store } from '#service-bus/store/journal.js';
import type { BrokerClock } from '#service-bus/time.js';

export interface MovedClock extends BrokerClock {
  /** Time passes, on the wall too. */
  advance(ms: number): void;
  /** Somebody sets the clock on the wall. */
  set(ms: number): void;
}

export function movedClock(begin = 1_700_000_000_000): MovedClock {
  let [passed, offset, next] = [0, begin, 0];
  const timers = new Map<number, { at: number; run: () => void }>();
  return {
    now: () => passed + offset,
    elapsed: () => passed,
    after(delayMs, run) {
      const id = next++;
      timers.set(id, { at: passed + Math.max(delayMs, 0), run });
      return () => timers.delete(id);
    },
    advance(ms) {
      const end = passed + ms;
      for (;;) {
        let first: [number, { at: number; run: () => void }] | undefined;
        for (const timer of timers)
          if (timer[1].at <= end && (!first || timer[1].at < first[1].at)) first = timer;
        if (!first) break;
        timers.delete(first[0]);
        passed = Math.max(passed, first[1].at);
        first[1].run();
      }
      passed = end;
    },
    set(ms) {
      offset = ms - passed;
    },
  };
}

export interface KeptStore extends Store {
  readonly data: Map<string, Buffer>;
  /** Writes fail from now on. */
  fails: boolean;
}

/** Keeps what is written in memory, over "restarts" too. */
export function keptStore(): KeptStore {
  const data = new Map<string, Buffer>();
  return {
    data,
    fails: false,
    isVolatile: false,
    async *read(prefix) {
      yield [...data]
        .filter(([key]) => key.startsWith(prefix))
        .sort(([a], [b]) => (a < b ? -1 : 1));
    },
    async write(changes) {
      if (this.fails) throw new Error('ENOSPC: no space left on device');
      for (const { key, value } of changes) {
        if (value) data.set(key, Buffer.from(value));
        else data.delete(key);
      }
    },
    async close() {},
  };
}

export async function namespaceOf(
  topology: object,
  { store = keptStore(), clock = movedClock() }: { store?: Store; clock?: MovedClock } = {},
): Promise<Namespace> {
  return Namespace.open(topologySchema.parse(topology), store, { clock, releaseLocks: false });
}

let ids = 0;

/** A message as a client would send it, in rhea's names. */
export function content(fields: Record<string, unknown> = {}): Content {
  const encoded = rhea.message.encode({ body: 'x', ...fields } as never) as unknown as Buffer;
  return parseMessage(encoded, () => `id-${ids++}`);
}

/** Takes as many messages as it is let. */
export class Taker implements Consumer {
  readonly settlesFirst: boolean;
  readonly taken: Message[] = [];
  left: number;

  constructor(left = Number.POSITIVE_INFINITY, settlesFirst = false) {
    this.left = left;
    this.settlesFirst = settlesFirst;
  }

  room(): number {
    return this.left;
  }

  take(message: Message): void {
    this.left--;
    this.taken.push(message);
  }

  get last(): Message {
    const message = this.taken.at(-1);
    if (!message) throw new Error('nothing was taken');
    return message;
  }

  get tokens(): string[] {
    return this.taken.map(({ lock }) => lock?.token ?? '');
  }
}
