/** Ports that behave in ways that the world does not make up by itself. */
import { setImmediate as hop } from 'node:timers/promises';
import type { Working } from '#longhaul/run/attempt.js';
import type { Ran } from './one-job.ts';
import type { Trouble } from './world.ts';

/** So many turns of the event loop. */
export const hops = async (count: number) => {
  for (let n = 0; n < count; n++) await hop();
};

/** Changes the ports of whoever works from now on. */
export function tamper(
  { world }: Pick<Ran, 'world'>,
  change: (app: Working) => Partial<Working>,
): void {
  const { app } = world;
  world.app = (hands) => {
    const made = app.call(world, hands);
    return { ...made, ...change(made) };
  };
}

/** A write of a record takes a few milliseconds, as it does in Azure. */
export const slowRecords = (ran: Ran, count: number) =>
  tamper(ran, ({ records }) => ({
    records: {
      ...records,
      write: async (record, etag) => {
        await hops(count);
        return records.write(record, etag);
      },
    },
  }));

/** The first write of the worker is under way for so long; the worker dies before it is done. */
export function diesDuringItsFirstWrite(ran: Ran, hands: { dies: boolean }, count: number): void {
  let writes = 0;
  tamper(ran, ({ records }) => ({
    records: {
      ...records,
      write: async (record, etag) => {
        if (++writes !== 1) return records.write(record, etag);
        await hops(count);
        hands.dies = true;
        void hop().then(() => {
          hands.dies = false;
        });
        return records.write(record, etag);
      },
    },
  }));
}

/** Makes a process die at the next call to the outside. */
export function death() {
  let isNear = false;
  return {
    comes() {
      isNear = true;
    },
    trouble(): Trouble {
      if (!isNear) return 'none';
      isNear = false;
      return 'dies before';
    },
  };
}
