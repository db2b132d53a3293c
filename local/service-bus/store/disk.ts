import { ClassicLevel } from 'classic-level';
import type { Store } from './journal.ts';

const format = '2';
const readAtOnce = 1000;

/**
 * Keeps the broker in a LevelDB folder. A write is in the operating system's hands before it
 * resolves, so it survives SIGKILL of this process; LevelDB cuts a torn tail of its log by itself.
 */
export async function openDiskStore(folder: string): Promise<Store> {
  const db = new ClassicLevel<string, Buffer>(folder, { valueEncoding: 'buffer' });
  try {
    await db.open();
  } catch (cause) {
    throw new Error(`Cannot open the broker's data in ${folder}: is another broker using it?`, {
      cause,
    });
  }
  const found = (await db.get('!format'))?.toString();
  if (found !== undefined && found !== format) {
    await db.close();
    throw new Error(
      `The broker's data in ${folder} has format ${found}, this version reads ${format}: move the folder away to begin anew.`,
    );
  }
  await db.put('!format', Buffer.from(format));
  return {
    isVolatile: false,
    async *read(prefix) {
      const iterator = db.iterator({ gte: prefix, lt: `${prefix}\uffff` });
      try {
        // Many a call: one by one a million messages take minutes.
        for (;;) {
          const some = await iterator.nextv(readAtOnce);
          if (some.length === 0) break;
          yield* some;
        }
      } finally {
        await iterator.close();
      }
    },
    async write(changes) {
      await db.batch(
        changes.map(({ key, value }) =>
          value ? { type: 'put', key, value } : { type: 'del', key },
        ),
      );
    },
    close: () => db.close(),
  };
}
