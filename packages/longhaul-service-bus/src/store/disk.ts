import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import type { Store } from './journal.ts';

const format = '3';
const readAtOnce = 10_000;
// Of one reading; with the default of 16 KB a million messages take a minute.
const highWaterMarkBytes = 8 * 1024 * 1024;
// Most messages are gone before a table is written: the more the log holds, the fewer tables there are.
const writeBufferSize = 32 * 1024 * 1024;

/**
 * Keeps the broker in a LevelDB folder. A write is in the operating system's hands before it
 * resolves, so it survives SIGKILL of this process; LevelDB cuts a torn tail of its log by itself.
 */
export async function openDiskStore(folder: string): Promise<Store> {
  let db = await open(folder);
  try {
    await tellOfDrops(folder);
    await checkFormat(db, folder);
  } catch (fault) {
    await db.close();
    throw fault;
  }
  // LevelDB does not go on behind a record that it wrote in part; opened again it does.
  let isBroken = false;
  const reopen = async () => {
    await db.close().catch(() => undefined);
    db = await open(folder);
    isBroken = false;
  };
  return {
    isVolatile: false,
    async *read(prefix) {
      const range = { gte: prefix, lt: `${prefix}\uffff` };
      const iterator = db.iterator({ ...range, highWaterMarkBytes });
      const more = () => {
        const some = iterator.nextv(readAtOnce);
        // Whoever stops reading does not hear of it.
        some.catch(() => undefined);
        return some;
      };
      try {
        // LevelDB reads on in its thread while these are dealt with.
        for (let next = more(); ; ) {
          const some = await next;
          if (some.length === 0) return;
          next = more();
          yield some;
        }
      } finally {
        await iterator.close();
      }
    },
    async write(changes) {
      if (isBroken) await reopen();
      try {
        await db.batch(
          changes.map(({ key, value }) =>
            value ? { type: 'put', key, value } : { type: 'del', key },
          ),
        );
      } catch (fault) {
        isBroken = true;
        throw fault;
      }
    },
    close: () => db.close(),
  };
}

// The keys of `journal.ts` and `namespace.ts`: the format itself may be what was damaged.
const ours = /^(!entity\/|[^/]+\/(c$|[bgsdx]\/))/;

/** A folder is ours, or new: somebody else's is not to be written to. */
async function checkFormat(db: ClassicLevel<string, Buffer>, folder: string): Promise<void> {
  const found = (await db.get('!format'))?.toString();
  if (found === format) return;
  if (found !== undefined)
    throw new Error(
      `The broker's data in ${folder} has format ${found}, this version reads ${format}: move the folder away to begin anew.`,
    );
  const some = await db.keys({ limit: 100 }).all();
  if (!some.every((key) => ours.test(key)))
    throw new Error(
      `The folder ${folder} holds a LevelDB that is not the broker's: name another folder.`,
    );
  await db.put('!format', Buffer.from(format));
}

/** Makes the index anew when it is damaged. @throws Error when the folder cannot be used */
async function open(folder: string): Promise<ClassicLevel<string, Buffer>> {
  for (let repaired = false; ; repaired = true) {
    const db = new ClassicLevel<string, Buffer>(folder, {
      valueEncoding: 'buffer',
      writeBufferSize,
    });
    try {
      await db.open();
      return db;
    } catch (cause) {
      const { code, message } =
        (cause as { cause?: { code?: string; message?: string } }).cause ?? {};
      if (code === 'LEVEL_LOCKED')
        throw new Error(`Another broker uses the data in ${folder}.`, { cause });
      if (code !== 'LEVEL_CORRUPTION' || repaired)
        throw new Error(`Cannot open the broker's data in ${folder}: ${message}`, { cause });
      process.emitWarning(`The broker's data in ${folder} is damaged (${message}): repairing it.`);
      await ClassicLevel.repair(folder);
    }
  }
}

/** LevelDB reads past what is damaged in its log, and says so in a file. */
async function tellOfDrops(folder: string): Promise<void> {
  const log = await readFile(join(folder, 'LOG'), 'utf8').catch(() => '');
  for (const [, bytes, why] of log.matchAll(/dropping (\d+) bytes; (.*)/g))
    process.emitWarning(`The broker's data in ${folder} lost ${bytes} bytes: ${why}.`);
}
